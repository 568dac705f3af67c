//! Fuzzing with a stable compiler: inputs are generated or taken from a corpus, mutated, and given to a parser.
//!
//! Owns the corpus of a target, how long it is fuzzed, shrinking and the bound on memory; `mutation` owns the
//! mutations. It sees no branches of the parser, as a fuzzer with an instrumented compiler does: what it has instead
//! is the kind of answer. An input that is answered in a way that no earlier one was (another message, or a model of
//! another kind) joins the inputs that are mutated next.
//!
//! | variable | means |
//! | --- | --- |
//! | `GREENLIGHT_FUZZ_SECONDS` | how long; without it, a few hundred cases |
//! | `GREENLIGHT_FUZZ_SEED` | a number that the cases follow from, instead of a random one |
//! | `GREENLIGHT_FUZZ_KEEP` | a small input of a new kind is written to the corpus, not only one that failed |
//! | `GREENLIGHT_FUZZ_CURRENT` | a file that holds the input in work, for when the process is ended by it |
//! | `GREENLIGHT_FUZZ_REPORT` | a file that gets a line of JSON about the run |

mod mutation;

use std::any::Any;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use mutation::{Mutation, apply, mutation};

/// Cases with the tests: under two seconds for each parser.
const CASES: u64 = 300;
/// Most inputs that are mutated; later ones take the place of earlier ones.
const POOL: usize = 512;
/// Largest input that is mutated, and that is kept in the repository.
const POOLED_BYTES: usize = 64 << 10;
const KEPT_BYTES: usize = 4 << 10;
/// Most inputs that the corpus of one parser grows to, those that failed aside.
const CORPUS: usize = 40;
/// Words of a message that say of which kind it is.
const SHAPE_WORDS: usize = 10;
/// Most attempts to make a failing input smaller.
const SHRINKS: usize = 2_000;

/// A parser under test.
pub struct Target {
    /// Its name in reports.
    pub name: &'static str,
    /// A folder of inputs that every run replays first.
    pub corpus: PathBuf,
    /// Valid inputs to mutate, beside those that are generated.
    pub seeds: Vec<Vec<u8>>,
    /// Pieces of its language, to put where they do not belong.
    pub tokens: &'static [&'static [u8]],
    /// How many bytes of memory it may take for a byte of input, beside a fixed part.
    pub growth: usize,
    /// The fixed part.
    pub fixed: usize,
}

/// What a parser says of an input: what kind of thing it accepted, or why it refused. A broken promise is a panic.
pub type Verdict = Result<String, String>;

#[derive(Debug, Clone)]
struct Case {
    generated: Vec<u8>,
    from_pool: Option<Index>,
    mutations: Vec<Mutation>,
}

#[derive(Default)]
struct Report {
    cases: u64,
    accepted: u64,
    slowest: Duration,
}

impl Target {
    /// Replays the corpus, then tries inputs until the time or the count is used up.
    ///
    /// Panics with the path of the smallest input that was found to break a promise.
    pub fn run(&self, generator: impl Strategy<Value = Vec<u8>>, check: impl Fn(&[u8]) -> Verdict) {
        let began = Instant::now();
        let mut state = State::new(self);
        for (path, input) in self.read_corpus() {
            let verdict = state.judge(&input, &check);
            state.learn(&input, verdict.unwrap_or_else(|why| panic!("{}: {why}", path.display())), true);
        }
        let seconds = variable("GREENLIGHT_FUZZ_SECONDS");
        let seed = variable("GREENLIGHT_FUZZ_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
        let mut runner = runner(seed);
        let strategy = strategy(generator, self.tokens.len());
        while seconds.map_or(state.report.cases < CASES, |limit| began.elapsed().as_secs() < limit) {
            let mut tree = strategy.new_tree(&mut runner).unwrap();
            let input = state.build(&tree.current());
            match state.judge(&input, &check) {
                Ok(verdict) => state.learn(&input, verdict, false),
                Err(why) => {
                    let (smallest, why) = state.shrink(&mut tree, input, why, &check);
                    let path = self.keep("failed", &smallest);
                    panic!("{}, seed {seed}: {why}; the input is kept as {}", self.name, path.display());
                }
            }
        }
        state.write(seed, began.elapsed());
    }

    fn read_corpus(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(&self.corpus).into_iter().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// Writes an input to the corpus, under a name that follows from its bytes.
    fn keep(&self, why: &str, input: &[u8]) -> PathBuf {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = input.iter().fold(0xcbf2_9ce4_8422_2325, step);
        let path = self.corpus.join(format!("{why}-{hash:016x}"));
        std::fs::create_dir_all(&self.corpus).unwrap();
        std::fs::write(&path, input).unwrap();
        path
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not '{text}'")))
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(
        Config { failure_persistence: None, ..Config::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
    )
}

fn strategy(generator: impl Strategy<Value = Vec<u8>>, tokens: usize) -> impl Strategy<Value = Case> {
    let pooled = prop::option::weighted(0.6, any::<Index>());
    let mutations = prop_oneof![
        1 => Just(Vec::new()),
        9 => prop::collection::vec(mutation(tokens), 1..6),
    ];
    (generator, pooled, mutations).prop_map(|(generated, from_pool, mutations)| Case {
        generated,
        from_pool,
        mutations,
    })
}

struct State<'t> {
    target: &'t Target,
    pool: Vec<Vec<u8>>,
    kinds: HashSet<String>,
    report: Report,
    current: Option<PathBuf>,
    keep: bool,
    /// Inputs in the corpus.
    kept: usize,
    /// Address space before the next input, at its peak; `None` where it cannot be told from that of other tests.
    memory_before: Option<usize>,
    memory_most: usize,
    /// Takes up, untouched, what lies between the address space and its peak, so that the peak moves with an input.
    _ballast: Vec<u8>,
}

impl<'t> State<'t> {
    fn new(target: &'t Target) -> Self {
        // Only a process of its own can be measured; nextest and bench/fuzz give one to each test.
        let alone =
            ["NEXTEST", "GREENLIGHT_FUZZ_SECONDS"].iter().any(|name| std::env::var_os(name).is_some());
        Self {
            target,
            pool: target.seeds.clone(),
            kinds: HashSet::new(),
            report: Report::default(),
            current: std::env::var_os("GREENLIGHT_FUZZ_CURRENT").map(PathBuf::from),
            keep: std::env::var_os("GREENLIGHT_FUZZ_KEEP").is_some(),
            kept: 0,
            memory_before: if alone { address_space("VmPeak:") } else { None },
            memory_most: 0,
            _ballast: ballast(),
        }
    }

    fn build(&self, case: &Case) -> Vec<u8> {
        let base = match case.from_pool {
            Some(index) if !self.pool.is_empty() => index.get(&self.pool),
            _ => &case.generated,
        };
        apply(base.clone(), &case.mutations, &self.pool, self.target.tokens)
    }

    /// What the parser says, or which promise it broke.
    fn judge(&mut self, input: &[u8], check: &impl Fn(&[u8]) -> Verdict) -> Result<Verdict, String> {
        if let Some(path) = &self.current {
            std::fs::write(path, input).unwrap();
        }
        let began = Instant::now();
        let verdict = catch_unwind(AssertUnwindSafe(|| check(input))).map_err(|panic| {
            // What telling of a panic takes is not the parser's.
            self.memory_before = address_space("VmPeak:");
            told(&*panic)
        })?;
        self.report.slowest = self.report.slowest.max(began.elapsed());
        self.report.cases += 1;
        self.report.accepted += u64::from(verdict.is_ok());
        let now = self.memory_before.and_then(|_| address_space("VmPeak:"));
        let grown = self.memory_before.zip(now).map_or(0, |(before, now)| now - before);
        self.memory_before = now;
        self.memory_most = self.memory_most.max(grown);
        let limit = self.target.growth * input.len() + self.target.fixed;
        if grown > limit {
            return Err(format!(
                "{grown} bytes of memory for {} bytes of input; the limit is {limit}",
                input.len()
            ));
        }
        Ok(verdict)
    }

    /// Remembers an input that is answered in a new way.
    fn learn(&mut self, input: &[u8], verdict: Verdict, is_kept: bool) {
        let kind = match verdict {
            Ok(accepted) => format!("+{accepted}"),
            Err(message) => shape(&message),
        };
        self.kept += usize::from(is_kept);
        if input.len() > POOLED_BYTES || !self.kinds.insert(kind) {
            return;
        }
        if self.keep && !is_kept && input.len() <= KEPT_BYTES && self.kept < CORPUS {
            self.kept += 1;
            self.target.keep("new", input);
        }
        if self.pool.len() < POOL {
            self.pool.push(input.to_vec());
        } else {
            let seeds = self.target.seeds.len();
            let place = seeds + self.kinds.len() % (POOL - seeds);
            self.pool[place] = input.to_vec();
        }
    }

    fn shrink(
        &mut self,
        tree: &mut impl ValueTree<Value = Case>,
        mut smallest: Vec<u8>,
        mut why: String,
        check: &impl Fn(&[u8]) -> Verdict,
    ) -> (Vec<u8>, String) {
        let mut moved = tree.simplify();
        for _ in 0..SHRINKS {
            if !moved {
                break;
            }
            let input = self.build(&tree.current());
            moved = match self.judge(&input, check) {
                Ok(_) => tree.complicate(),
                Err(reason) => {
                    if input.len() <= smallest.len() {
                        (smallest, why) = (input, reason);
                    }
                    tree.simplify()
                }
            };
        }
        (smallest, why)
    }

    fn write(&self, seed: u64, took: Duration) {
        let Some(path) = std::env::var_os("GREENLIGHT_FUZZ_REPORT") else { return };
        let line = serde_json::json!({
            "parser": self.target.name,
            "seconds": took.as_secs(),
            "cases": self.report.cases,
            "accepted": self.report.accepted,
            "kinds": self.kinds.len(),
            "slowest_ms": self.report.slowest.as_secs_f64() * 1e3,
            "memory_mib": self.memory_before.map(|_| self.memory_most >> 20),
            "seed": seed,
        });
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// A message without what differs from input to input: only its first words of small letters stay. What a message
/// quotes of an input may still make it look new, which is why the corpus and the pool are bounded.
fn shape(message: &str) -> String {
    let mut quoted = false;
    let unquoted = message.chars().map(|letter| {
        quoted ^= matches!(letter, '\'' | '`' | '"');
        if quoted { ' ' } else { letter }
    });
    let unquoted: String = unquoted.collect();
    let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
    unquoted.split_whitespace().filter(plain).take(SHAPE_WORDS).collect::<Vec<_>>().join(" ")
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

/// Bytes of address space that this process has (`VmSize:`), or the most that it ever had (`VmPeak:`). Memory that is
/// asked for and never touched counts, so a list that is made as long as a file says it is shows up. Linux only.
fn address_space(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

fn ballast() -> Vec<u8> {
    let gap = address_space("VmPeak:").zip(address_space("VmSize:")).map_or(0, |(most, now)| most - now);
    std::hint::black_box(Vec::with_capacity(gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> (tempfile::TempDir, Target) {
        let folder = tempfile::tempdir().unwrap();
        let corpus = folder.path().join(name);
        let target = Target {
            name: "test",
            corpus,
            seeds: vec![b"abcdef".to_vec()],
            tokens: &[b"x"],
            growth: 64,
            fixed: 16 << 20,
        };
        (folder, target)
    }

    fn failure(target: &Target, check: impl Fn(&[u8]) -> Verdict) -> String {
        let ran = catch_unwind(AssertUnwindSafe(|| target.run(Just(b"start".to_vec()), check)));
        told(&*ran.unwrap_err())
    }

    #[test]
    fn a_panic_is_shrunk_kept_and_replayed() {
        let (_folder, target) = target("panic");
        let check = |input: &[u8]| {
            assert!(!input.contains(&b'x'), "an x");
            Ok("fine".to_owned())
        };
        assert!(failure(&target, check).contains("an x; the input is kept as"));
        let kept: Vec<_> = target.read_corpus();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].1.contains(&b'x') && kept[0].1.len() <= 7, "{kept:?}");
        assert!(failure(&target, check).contains(&kept[0].0.display().to_string()));
    }

    #[test]
    fn memory_past_the_bound_is_a_failure_even_when_it_is_not_touched() {
        let (_folder, target) = target("memory");
        let mut state = State::new(&target);
        state.memory_before = address_space("VmPeak:");
        let check = |input: &[u8]| {
            let untouched = Vec::<u64>::with_capacity(input.len() << 20);
            Ok(std::hint::black_box(untouched).capacity().to_string())
        };
        assert!(state.judge(b"", &check).is_ok());
        if state.memory_before.is_some() {
            let why = state.judge(b"abcdefgh", &check).unwrap_err();
            assert!(why.contains("the limit is"), "{why}");
        }
    }

    #[test]
    fn messages_that_differ_in_names_and_numbers_are_of_one_kind() {
        assert_eq!(shape("input 'a': send 1 to 20"), shape("input 'bc': send 1 to 3000"));
        assert_ne!(shape("input 'a' is missing"), shape("input 'a' is unknown"));
    }
}
