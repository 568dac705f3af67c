//! Pure numbers for decisions about models: does it rank, is it calibrated, what did it earn, has the world
//! moved.
//!
//! This crate owns formulas: `f64` in, `f64` out. It refuses input and output, clocks, serialisation,
//! currencies and policy (how good is good enough is a gate's business). Randomness comes from an explicit
//! `u64` seed, which feeds ChaCha with 8 rounds, so that a recorded seed gives the same interval on every
//! machine.
//!
//! | question | module | source |
//! | --- | --- | --- |
//! | what did the treated units earn against the holdout | [`incremental`] | Horvitz & Thompson 1952 |
//! | how sure are we, looking every day | [`confidence_sequence`] | Waudby-Smith et al. 2024; Howard et al. 2021 |
//! | the same for values with known bounds, without asymptotics | [`bounded_sequence`] | Howard et al. 2021; Waudby-Smith & Ramdas 2024 |
//! | how sure are we, looking once | [`two_sample`], [`bootstrap`] | Welch 1947; Efron & Tibshirani 1993 |
//! | the same, with what was known of the units beforehand | [`cuped`], [`post_stratification`] | Deng et al. 2013; Miratrix et al. 2013 |
//! | a ratio of two means, such as orders per session | [`ratio`] | Deng, Knoblich & Lu 2018 |
//! | was the assignment as agreed | [`sample_ratio`] | Pearson 1900; Lindon & Malek 2022 |
//! | may the data be read at all | [`health`] | Clopper & Pearson 1934; Holm 1979; Lindon & Malek 2022 |
//! | what does a policy do where units cannot be split | [`switchback`] | Bell & McCaffrey 2002; Newey & West 1987 |
//! | does the effect last | [`novelty`] | Birge 1932; Kohavi, Tang & Xu 2020 |
//! | what will arrive yet, and how mature is a day | [`delay`] | Kaplan & Meier 1958; Lagakos et al. 1988; Mack 1993 |
//! | which action next, with what chance | [`bandit`] | Thompson 1933; Li et al. 2010; Agrawal & Goyal 2013 |
//! | what would another policy have earned | [`off_policy`] | Dudík et al. 2011; Wang et al. 2017; Su et al. 2020 |
//! | do two measurements go together | [`correlation`] | Fisher 1921; Knight 1966; Bonett & Wright 2000 |
//! | does the score rank | [`ranking`] | Mann & Whitney 1947; Hanley & McNeil 1982 |
//! | is the score a probability | [`calibration`] | Brier 1950; Good 1952; Naeini et al. 2015 |
//! | has the input moved | [`drift`] | Siddiqi 2006 |
//! | why is this score what it is | [`shapley`] | Štrumbelj & Kononenko 2014 |
//! | order statistics and sums | [`quantile`], [`moments`] | Hyndman & Fan 1996 |
//!
//! Every fallible function answers with [`StatsError`]; every interval is an [`Interval`].

pub mod bandit;
pub mod bootstrap;
pub mod bounded_sequence;
pub mod calibration;
pub mod confidence_sequence;
pub mod correlation;
pub mod cuped;
pub mod delay;
pub mod drift;
pub mod health;
pub mod incremental;
pub mod moments;
pub mod novelty;
pub mod off_policy;
pub mod post_stratification;
pub mod quantile;
pub mod ranking;
pub mod ratio;
pub mod sample_ratio;
pub mod shapley;
pub mod switchback;
pub mod two_sample;

mod binomial;
mod check;
mod contrast;
mod distribution;
mod error;
mod interval;
mod symmetric;

#[cfg(test)]
mod close;

pub use error::StatsError;
pub use interval::Interval;
