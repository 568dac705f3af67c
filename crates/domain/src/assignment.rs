//! Which variant a unit gets: sticky, and stable under a change of weights.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The place of `unit` on the line [0, 1), fixed for an endpoint and its salt.
///
/// A unit gets the champion when its place is below the champion's weight. When the weight grows from 10 % to 50 %
/// only the units between the two marks move; nobody moves back.
pub fn place(salt: &str, unit: &str) -> f64 {
    let mut hasher = SipHasher13::new_with_keys(0x6772_6565_6e6c_6967, 0x6874_2f61_7373_6967);
    hasher.write(salt.as_bytes());
    hasher.write_u8(0);
    hasher.write(unit.as_bytes());
    // 53 bits: every value is an exact double below 1.
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

/// True when `unit` gets the champion at that weight (0 to 1).
pub fn is_champion(salt: &str, unit: &str, weight: f64) -> bool {
    place(salt, unit) < weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_the_weight_and_growth_moves_nobody_back() {
        let units: Vec<String> = (0..20_000).map(|i| format!("client-{i}")).collect();
        let mut before: Vec<bool> = vec![false; units.len()];
        for weight in [0.1, 0.5, 0.9] {
            let now: Vec<bool> = units.iter().map(|u| is_champion("calls", u, weight)).collect();
            let share = now.iter().filter(|c| **c).count() as f64 / units.len() as f64;
            // Four standard errors of a binomial share.
            assert!((share - weight).abs() < 4.0 * (weight * (1.0 - weight) / 20_000.0).sqrt(), "{share}");
            assert!(before.iter().zip(&now).all(|(was, is)| !was || *is), "a unit moved back");
            before = now;
        }
    }

    #[test]
    fn two_endpoints_split_independently() {
        let both = (0..10_000)
            .filter(|i| is_champion("a", &i.to_string(), 0.5) && is_champion("b", &i.to_string(), 0.5))
            .count();
        assert!((2_300..2_700).contains(&both), "{both}");
    }
}
