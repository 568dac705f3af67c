//! What is done to an input: bits, cuts, copies, pieces of the language, extreme numbers, parts of other inputs.

use proptest::prelude::*;
use proptest::sample::Index;

/// Most bytes of a mutated input.
const MAX_BYTES: usize = 256 << 10;

/// Numbers as text that parsers trip over.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "-0",
    "1e999",
    "-1e999",
    "1e-999",
    "0.1",
    "255",
    "65536",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "00",
    "1e",
];
/// Integers as bytes that parsers trip over.
const WORDS: [u64; 8] = [0, 1, 0x7f, 0x80, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// One change. Places are relative, so that they fit whatever the changes before them left.
#[derive(Debug, Clone)]
pub(super) enum Mutation {
    Cut(Index),
    Flip(Index, u8),
    Set(Index, u8),
    /// A piece of the language, once or very often.
    Insert(Index, usize, usize),
    Delete(Index, Index),
    /// A part again, elsewhere.
    Copy(Index, Index, Index),
    /// A part of another input.
    Splice(Index, Index, Index, Index),
    /// Another number where one stands.
    Number(Index, usize),
    /// An integer of one, two, four or eight bytes, little or big endian, over what stands there.
    Word(Index, usize, u8, bool),
}

pub(super) fn mutation(tokens: usize) -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let times = prop_oneof![9 => Just(1_usize), 1 => 2..3_000_usize];
    prop_oneof![
        1 => at().prop_map(Mutation::Cut),
        2 => (at(), 0..8_u8).prop_map(|(place, bit)| Mutation::Flip(place, bit)),
        2 => (at(), any::<u8>()).prop_map(|(place, byte)| Mutation::Set(place, byte)),
        3 => (at(), 0..tokens.max(1), times).prop_map(|(place, token, times)| Mutation::Insert(place, token, times)),
        1 => (at(), at()).prop_map(|(from, to)| Mutation::Delete(from, to)),
        2 => (at(), at(), at()).prop_map(|(from, to, place)| Mutation::Copy(from, to, place)),
        1 => (at(), at(), at(), at()).prop_map(|(other, from, to, place)| Mutation::Splice(other, from, to, place)),
        3 => (at(), 0..NUMBERS.len()).prop_map(|(place, number)| Mutation::Number(place, number)),
        2 => (at(), 0..WORDS.len(), 0..4_u8, any::<bool>())
            .prop_map(|(place, word, width, big)| Mutation::Word(place, word, width, big)),
    ]
}

/// The input after its changes; `pool` is what parts of other inputs come from.
pub(super) fn apply(
    mut input: Vec<u8>,
    mutations: &[Mutation],
    pool: &[Vec<u8>],
    tokens: &[&[u8]],
) -> Vec<u8> {
    for mutation in mutations {
        change(&mut input, mutation, pool, tokens);
        input.truncate(MAX_BYTES);
    }
    input
}

fn change(input: &mut Vec<u8>, mutation: &Mutation, pool: &[Vec<u8>], tokens: &[&[u8]]) {
    let ends = input.len() + 1;
    match mutation {
        Mutation::Cut(place) => input.truncate(place.index(ends)),
        Mutation::Flip(place, bit) => {
            if let Some(byte) = pick(input, *place) {
                *byte ^= 1 << bit;
            }
        }
        Mutation::Set(place, value) => {
            if let Some(byte) = pick(input, *place) {
                *byte = *value;
            }
        }
        Mutation::Insert(place, token, times) => {
            let token = tokens.get(*token).copied().unwrap_or(b"\0");
            insert(input, place.index(ends), &token.repeat(*times));
        }
        Mutation::Delete(from, to) => drop(input.drain(range(*from, *to, ends))),
        Mutation::Copy(from, to, place) => {
            let part = input[range(*from, *to, ends)].to_vec();
            insert(input, place.index(ends), &part);
        }
        Mutation::Splice(other, from, to, place) => {
            if !pool.is_empty() {
                let other = other.get(pool);
                insert(input, place.index(ends), &other[range(*from, *to, other.len() + 1)]);
            }
        }
        Mutation::Number(place, number) => {
            let start = place.index(ends);
            let Some(first) = input[start..].iter().position(u8::is_ascii_digit) else { return };
            let first = start + first;
            let digits = input[first..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            drop(input.splice(first..first + digits, NUMBERS[*number].bytes()));
        }
        Mutation::Word(place, word, width, big) => {
            let (word, width) = (WORDS[*word], 1 << width);
            let bytes = if *big { word.to_be_bytes() } else { word.to_le_bytes() };
            let bytes = if *big { &bytes[8 - width..] } else { &bytes[..width] };
            let start = place.index(ends);
            let room = width.min(input.len() - start);
            input[start..start + room].copy_from_slice(&bytes[..room]);
        }
    }
}

fn pick(input: &mut [u8], place: Index) -> Option<&mut u8> {
    let length = input.len();
    if length == 0 { None } else { input.get_mut(place.index(length)) }
}

fn insert(input: &mut Vec<u8>, place: usize, part: &[u8]) {
    drop(input.splice(place..place, part.iter().copied()));
}

fn range(one: Index, other: Index, ends: usize) -> std::ops::Range<usize> {
    let (one, other) = (one.index(ends), other.index(ends));
    one.min(other)..one.max(other)
}

#[cfg(test)]
mod tests {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// Every kind of change, on inputs of every small size, among them the empty one.
    #[test]
    fn every_change_fits_every_input() {
        let mut runner = TestRunner::deterministic();
        let pool = [Vec::new(), b"other".to_vec()];
        for case in 0..5_000 {
            let mutation = mutation(2).new_tree(&mut runner).unwrap().current();
            let input = b"a1b22c333"[..case % 10].to_vec();
            apply(input, &[mutation.clone(), mutation], &pool, &[b"[", b"null"]);
        }
    }
}
