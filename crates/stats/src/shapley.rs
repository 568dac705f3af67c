//! Why a score is what it is, for a score that can only be asked: Shapley values by sampled orders. Owns the orders
//! and the sums; refuses to know what a player is, and how the value of a set of players is found.
//!
//! A pair of orders (one, and the same backwards) starts from one reference. Along an order the players join one
//! after the other, and each is credited with what its joining changes, so the credits of one order add up exactly
//! to the whole, whatever the number of orders.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};

use crate::StatsError;

/// The most pairs of orders that a call accepts.
pub const MAX_PAIRS: usize = 10_000;

/// Credits of the players with how well they are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Shapley {
    /// The mean value with no player: of the references that were used.
    pub nobody: f64,
    /// What each player adds, on average. With `nobody` they sum to the value with every player.
    pub credits: Vec<f64>,
    /// Standard error of each credit over the pairs; 0 for a single pair.
    pub standard_errors: Vec<f64>,
}

/// Estimates the Shapley value of each of `players` from `pairs` antithetic pairs of random orders (Štrumbelj &
/// Kononenko, "Explaining prediction models and individual predictions with feature contributions", Knowledge and
/// Information Systems 2014, algorithm 1; the reversed order of each pair: Mitchell, Cooper, Frank & Holmes,
/// "Sampling permutations for Shapley value estimation", JMLR 2022).
///
/// `values(pair, order)` answers for one pair: the values as the players join in `order`, beginning with nobody and
/// ending with all (`players + 1` numbers), and the same for the order backwards.
///
/// The seed determines the orders on every machine (ChaCha with 8 rounds, Fisher–Yates).
///
/// Worked example: two players of which each alone is worth 0 and both together 1 have 0.5 each, after any number of
/// pairs, because each is credited once in a pair.
///
/// Errors: `OutOfRange` for no player and for `pairs` outside `1..=10_000`; `LengthMismatch` for another number of
/// values; whatever `values` fails with.
pub fn sampled<E: From<StatsError>>(
    players: usize,
    pairs: usize,
    seed: u64,
    mut values: impl FnMut(usize, &[usize]) -> Result<[Vec<f64>; 2], E>,
) -> Result<Shapley, E> {
    if players == 0 {
        return Err(StatsError::OutOfRange { name: "players", value: 0.0 }.into());
    }
    if pairs == 0 || pairs > MAX_PAIRS {
        return Err(StatsError::OutOfRange { name: "pairs", value: pairs as f64 }.into());
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..players).collect();
    let (mut sums, mut squares, mut nobody) = (vec![0.0; players], vec![0.0; players], 0.0);
    for pair in 0..pairs {
        shuffle(&mut order, &mut generator);
        let both = values(pair, &order)?;
        let mut credits = vec![0.0; players];
        for (path, backwards) in both.iter().zip([false, true]) {
            crate::check::same_length(path.len(), players + 1)?;
            nobody += path[0] / 2.0;
            for (step, ends) in path.windows(2).enumerate() {
                let player = order[if backwards { players - 1 - step } else { step }];
                credits[player] += (ends[1] - ends[0]) / 2.0;
            }
        }
        for ((credit, sum), square) in credits.iter().zip(&mut sums).zip(&mut squares) {
            *sum += credit;
            *square += credit * credit;
        }
    }
    let n = pairs as f64;
    let error = |(sum, square): (&f64, &f64)| {
        if pairs < 2 { 0.0 } else { ((square - sum * sum / n).max(0.0) / (n - 1.0) / n).sqrt() }
    };
    Ok(Shapley {
        nobody: nobody / n,
        standard_errors: sums.iter().zip(&squares).map(error).collect(),
        credits: sums.iter().map(|sum| sum / n).collect(),
    })
}

fn shuffle(order: &mut [usize], generator: &mut ChaCha8Rng) {
    for last in (1..order.len()).rev() {
        let other = ((u128::from(generator.next_u64()) * (last as u128 + 1)) >> 64) as usize;
        order.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::assert_close;
    use proptest::prelude::*;

    /// Plays a game of sets, given as a function of who has joined.
    fn play(players: usize, pairs: usize, game: impl Fn(usize, &[bool]) -> f64) -> Shapley {
        sampled::<StatsError>(players, pairs, 7, |pair, order| {
            let walk = |order: &mut dyn Iterator<Item = usize>| {
                let mut joined = vec![false; players];
                let mut values = vec![game(pair, &joined)];
                for player in order {
                    joined[player] = true;
                    values.push(game(pair, &joined));
                }
                values
            };
            Ok([walk(&mut order.iter().copied()), walk(&mut order.iter().rev().copied())])
        })
        .unwrap()
    }

    #[test]
    fn the_worked_example() {
        let both = play(2, 3, |_, joined| f64::from(u8::from(joined[0] && joined[1])));
        assert_eq!((both.nobody, both.credits), (0.0, vec![0.5, 0.5]));
        assert_eq!(both.standard_errors, [0.0, 0.0]);
    }

    /// The glove game (Shapley 1953; any text on cooperative games): one left glove and two right ones make one
    /// pair, worth 1. The left one has 2/3, each right one 1/6.
    #[test]
    fn the_glove_game_within_three_standard_errors() {
        let found = play(3, 4_000, |_, joined| f64::from(u8::from(joined[0] && (joined[1] || joined[2]))));
        for (player, truth) in [2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0].into_iter().enumerate() {
            let error = found.standard_errors[player];
            assert!(error < 0.01 && (found.credits[player] - truth).abs() < 3.0 * error, "{found:?}");
        }
    }

    #[test]
    fn what_it_refuses() {
        let none = |_: usize, _: &[usize]| Ok([vec![], vec![]]);
        assert!(sampled::<StatsError>(0, 1, 1, none).is_err());
        assert!(sampled::<StatsError>(1, 0, 1, none).is_err());
        assert!(sampled::<StatsError>(1, MAX_PAIRS + 1, 1, none).is_err());
        assert!(sampled::<StatsError>(1, 1, 1, none).is_err(), "too few values");
    }

    proptest! {
        /// Efficiency, the dummy and symmetry (Shapley's axioms) hold for every number of orders: the first and the
        /// last exactly by construction of a pair for two players, the dummy always.
        #[test]
        fn credits_add_up_and_who_adds_nothing_gets_nothing(
            weights in prop::collection::vec(-5.0_f64..5.0, 1..9), pairs in 1_usize..6, product in -3.0_f64..3.0,
        ) {
            let players = weights.len() + 1;
            // The last player is a dummy; the first two also multiply.
            let game = |pair: usize, joined: &[bool]| {
                let own: f64 = weights.iter().zip(joined).map(|(w, j)| if *j { *w } else { 0.0 }).sum();
                own + pair as f64 + if players > 2 && joined[0] && joined[1] { product } else { 0.0 }
            };
            let found = play(players, pairs, game);
            let whole = (0..pairs).map(|pair| game(pair, &vec![true; players])).sum::<f64>() / pairs as f64;
            assert_close(found.nobody + found.credits.iter().sum::<f64>(), whole, 1e-9);
            assert_close(found.credits[players - 1], 0.0, 1e-12);
            if players > 2 {
                // In a pair each of the two joins last once, so the product is halved without sampling error.
                assert_close(found.credits[0], weights[0] + product / 2.0, 1e-9);
                assert_close(found.credits[1], weights[1] + product / 2.0, 1e-9);
            }
        }
    }
}
