//! The lake from outside: durability, sealing, joins, settlements and data sets.

mod contract;
mod datasets;
mod events;
mod joins;
mod seal;
mod segments;
mod settlements;
