//! What the public functions promise: known answers of other programs, properties, and simulations.

mod bandit;
mod bounded_sequence;
mod confidence_sequence;
mod correlation;
mod cuped;
mod delay;
mod health;
mod incremental;
mod known_answers;
mod novelty;
mod off_policy;
mod peeking;
mod post_stratification;
mod properties;
mod ratio;
mod simulation;
mod switchback;
