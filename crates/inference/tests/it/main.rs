//! Training, artifacts and scoring, through the trait that the house uses.

mod artifact;
mod score;
mod synthetic;
mod train;
