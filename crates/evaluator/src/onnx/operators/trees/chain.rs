//! Chains of tests for equality, which stand for "is one of".
//!
//! Owns the numbers of nodes in a tree and what LightGBM's exporter makes of a categorical split: a test for each
//! category, each with the same branch for the answer yes. That is no tree, so a chain becomes one test for membership.
//! It refuses sets that would take more memory than the tree. A number with a fraction counts as the category below
//! it, as in LightGBM.

use std::collections::HashMap;
use std::ops::Range;

use super::super::super::plan::{Refusal, malformed, unsupported};
use super::Test;
use super::by_node::Lists;

/// A category of a chain is numbered below this.
const CATEGORY_LIMIT: f64 = 1_048_576.0;
/// The sets of a tree take this many words together.
const WORDS_LIMIT: usize = 1 << 22;

/// What a node is to a chain.
pub(super) enum Link {
    Alone,
    /// The first of a chain: the test for all of it, and its last branch of no.
    First(Test, usize),
    /// A later one, which the first stands for.
    Absorbed,
}

/// The chains of one tree. Nodes are met in their order.
pub(super) struct Chains<'a> {
    lists: &'a Lists<'a>,
    first: usize,
    /// Branches of yes and no by the place in the tree; those of a leaf are not meant.
    children: Vec<[usize; 2]>,
    parents: Vec<u32>,
    absorbed: Vec<bool>,
    words: usize,
}

impl<'a> Chains<'a> {
    pub(super) fn new(
        lists: &'a Lists<'a>,
        range: Range<usize>,
        places: &Places<'_>,
    ) -> Result<Self, Refusal> {
        let mut children = Vec::with_capacity(range.len());
        let mut parents = vec![0_u32; range.len()];
        for at in range.clone() {
            if lists.modes[at] == "LEAF" {
                children.push([0, 0]);
                continue;
            }
            let pair = [places.find(lists.yes[at])?, places.find(lists.no[at])?];
            for child in pair {
                parents[child] = parents[child].saturating_add(1);
            }
            children.push(pair);
        }
        let absorbed = vec![false; range.len()];
        Ok(Self { lists, first: range.start, children, parents, absorbed, words: 0 })
    }

    pub(super) fn children(&self, at: usize) -> [usize; 2] {
        self.children[at - self.first]
    }

    /// Follows the chain that starts at a node, once.
    pub(super) fn follow(&mut self, at: usize) -> Result<Link, Refusal> {
        let start = at - self.first;
        if self.absorbed[start] {
            return Ok(Link::Absorbed);
        }
        let [yes, mut no] = self.children[start];
        let Some(category) = self.category(start).filter(|_| self.parents[yes] > 1) else {
            return Ok(Link::Alone);
        };
        let mut categories = vec![category];
        while let Some(category) = self.next_category(start, no, yes) {
            self.absorbed[no] = true;
            categories.push(category);
            no = self.children[no][1];
        }
        if categories.len() == 1 {
            return Ok(Link::Alone);
        }
        let length = categories.iter().max().map_or(0, |largest| largest / 32 + 1);
        self.words += length;
        if self.words > WORDS_LIMIT {
            return unsupported("a tree whose sets of categories are that large");
        }
        let mut words = vec![0_u32; length];
        for category in categories {
            words[category / 32] |= 1 << (category % 32);
        }
        Ok(Link::First(Test::In(words), no))
    }

    /// The category of a node, which the one before leads to on no, if it is a link of the chain from `start`.
    fn next_category(&self, start: usize, node: usize, yes: usize) -> Option<usize> {
        let (own, other) = (self.first + start, self.first + node);
        let continues = node > start
            && !self.absorbed[node]
            && self.parents[node] == 1
            && self.children[node][0] == yes
            && self.lists.features[own] == self.lists.features[other]
            && self.lists.tracks_true(own) == self.lists.tracks_true(other);
        self.category(node).filter(|_| continues)
    }

    fn category(&self, node: usize) -> Option<usize> {
        let at = self.first + node;
        let category = self.lists.thresholds[at];
        let is_one = self.lists.modes[at] == "BRANCH_EQ"
            && (0.0..CATEGORY_LIMIT).contains(&category)
            && category.fract() == 0.0;
        is_one.then_some(category as usize)
    }
}

/// Where the nodes of a tree lie by their numbers.
pub(super) enum Places<'a> {
    /// Every node has its place as its number, as nearly all exporters write.
    Same {
        tree: i64,
        count: usize,
    },
    Listed {
        tree: i64,
        places: HashMap<&'a i64, usize>,
    },
}

impl<'a> Places<'a> {
    pub(super) fn new(tree: i64, ids: &'a [i64]) -> Result<Self, Refusal> {
        if ids.iter().enumerate().all(|(place, id)| *id == place as i64) {
            return Ok(Self::Same { tree, count: ids.len() });
        }
        let places: HashMap<&i64, usize> = ids.iter().enumerate().map(|(place, id)| (id, place)).collect();
        if places.len() != ids.len() {
            return malformed(format!("tree {tree} has two nodes of one number"));
        }
        Ok(Self::Listed { tree, places })
    }

    pub(super) fn find(&self, id: i64) -> Result<usize, Refusal> {
        let (tree, found) = match self {
            Self::Same { tree, count } => (tree, usize::try_from(id).ok().filter(|place| place < count)),
            Self::Listed { tree, places } => (tree, places.get(&id).copied()),
        };
        match found {
            Some(place) => Ok(place),
            None => malformed(format!("tree {tree} has no node {id}, which is a child")),
        }
    }
}
