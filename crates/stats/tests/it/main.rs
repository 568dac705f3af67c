//! What the public functions promise: known answers of other programs, properties, and simulations.

mod delay;
mod health;
mod incremental;
mod known_answers;
mod novelty;
mod off_policy;
mod peeking;
mod properties;
mod ratio;
mod simulation;
mod switchback;
