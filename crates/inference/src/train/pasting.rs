//! How rows are dealt to the members of an ensemble.
//!
//! Owns the number of members and their rows. It refuses to lose a row: every row goes to exactly one member.
//!
//! Members that are trained on small, disjoint parts of the rows and then averaged ("pasting", Breiman 1999,
//! *Pasting small votes for classification in large databases and on-line*) cost no more than one model of all rows,
//! and err less where the single model follows noise. There is a second reason: past 40,960 rows the boosting
//! library samples rows by class, which shifts its probabilities, and stops when its loss on a few held-out rows
//! has not fallen for three rounds, which noise brings about after a handful of trees.

/// Rows that a member gets at least, before there is a second one.
const LEAST_ROWS: usize = 2_500;
/// Rows that a member gets before there are more than [`FEW_MEMBERS`].
const USUAL_ROWS: usize = 10_000;
/// Rows that a member gets at most; below the 40,960 at which the library starts to sample.
const MOST_ROWS: usize = 40_000;
/// Rows of the rarer outcome that a member gets at least, unless it would get too many rows.
const LEAST_RARE: usize = 50;
const FEW_MEMBERS: usize = 4;
const USUAL_MEMBERS: usize = 16;

/// Members for that many rows, of which `rare` have the rarer outcome.
///
/// ```text
/// 2,000 rows → 1    10,000 → 4    45,000 → 4    120,000 → 12    400,000 → 16    1,000,000 → 25
/// ```
pub(super) fn members(rows: usize, rare: usize) -> usize {
    let few = (rows / LEAST_ROWS).min(FEW_MEMBERS);
    let usual = (rows / USUAL_ROWS).min(USUAL_MEMBERS);
    let wanted = few.max(usual).min(rare / LEAST_RARE);
    wanted.max(rows.div_ceil(MOST_ROWS)).min(rare).max(1)
}

/// The rows of each member: shuffled by the seed, then each outcome dealt in turn, so that every member has both.
pub(super) fn deal(outcomes: &[bool], members: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..outcomes.len()).collect();
    let mut random = seed;
    for last in (1..order.len()).rev() {
        order.swap(last, below(&mut random, last + 1));
    }
    let mut hands = vec![Vec::with_capacity(outcomes.len().div_ceil(members) + 1); members];
    for wanted in [true, false] {
        let rows = order.iter().filter(|row| outcomes[**row] == wanted);
        for (hand, row) in (0..members).cycle().zip(rows) {
            hands[hand].push(*row);
        }
    }
    // Dealt by outcome, the rows of a hand are sorted by it; the learner folds rows by their position.
    for hand in &mut hands {
        hand.sort_unstable();
    }
    hands
}

/// A number below `bound`, from Splitmix64 (Steele, Lea and Flood 2014, *Fast splittable pseudorandom number
/// generators*). Written out, so that a seed means the same whichever version of a library is built in.
fn below(state: &mut u64, bound: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The high half of the product is uniform up to bound / 2^64 (Lemire 2019).
    ((u128::from(mixed) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_grow_with_the_rows() {
        let sizes = [2, 2_000, 10_000, 45_000, 120_000, 400_000, 1_000_000];
        assert_eq!(sizes.map(|rows| members(rows, rows / 2)), [1, 1, 4, 4, 12, 16, 25]);
    }

    #[test]
    fn a_rare_outcome_keeps_members_few_but_their_rows_bounded() {
        assert_eq!(members(20_000, 120), 2);
        assert_eq!(members(20_000, 10), 1);
        assert_eq!(members(100_000, 60), 3);
        assert_eq!(members(100_000, 2), 2);
    }

    #[test]
    fn every_row_is_dealt_once_and_every_member_has_both_outcomes() {
        let outcomes: Vec<bool> = (0..103).map(|row| row % 20 == 0).collect();
        let hands = deal(&outcomes, 4, 9);
        let mut dealt = hands.concat();
        dealt.sort_unstable();
        assert_eq!(dealt, (0..103).collect::<Vec<_>>());
        for hand in &hands {
            assert!((25..=27).contains(&hand.len()), "{}", hand.len());
            assert!(hand.iter().any(|row| outcomes[*row]) && hand.iter().any(|row| !outcomes[*row]));
        }
        assert_eq!(hands, deal(&outcomes, 4, 9));
        assert_ne!(hands, deal(&outcomes, 4, 10));
    }
}
