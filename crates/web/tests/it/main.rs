//! Pages and their parts, rendered from views that are made by hand.

#[cfg(test)]
mod chart;
#[cfg(test)]
mod component;
#[cfg(test)]
mod dataset;
mod fixtures;
#[cfg(test)]
mod hypothesis;
#[cfg(test)]
mod look;
#[cfg(test)]
mod look_fixtures;
#[cfg(test)]
mod page;
#[cfg(test)]
mod research;
#[cfg(test)]
mod research_fixtures;
#[cfg(test)]
mod session;
