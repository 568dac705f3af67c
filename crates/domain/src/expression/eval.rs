//! Walking a checked expression. Three-valued logic and NULL follow the SQL standard.

use super::{Constant, Node, Operator};

/// One value while an expression runs. Text is borrowed from the row or the expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A number that is not NaN.
    Number(f64),
    /// Text.
    Text(&'a str),
    /// A truth value.
    Bool(bool),
}

impl Cell<'_> {
    /// NaN stands for a missing number everywhere outside expressions; here it becomes NULL.
    pub fn from_number(number: f64) -> Self {
        if number.is_nan() { Self::Null } else { Self::Number(number) }
    }

    /// The number, if it is one.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(n),
            _ => None,
        }
    }
}

impl Node {
    pub(super) fn reads(&self, slot: usize) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Slot(own) => *own == slot,
            Self::Negate(inner) | Self::Not(inner) | Self::IsNull(inner) => inner.reads(slot),
            Self::Binary(_, left, right) => left.reads(slot) || right.reads(slot),
            Self::Case { arms, otherwise } => {
                arms.iter().any(|(condition, result)| condition.reads(slot) || result.reads(slot))
                    || otherwise.as_ref().is_some_and(|node| node.reads(slot))
            }
            Self::Call(_, arguments) => arguments.iter().any(|argument| argument.reads(slot)),
        }
    }

    pub(super) fn evaluate<'a>(&'a self, row: &impl Fn(usize) -> Cell<'a>) -> Cell<'a> {
        match self {
            Self::Constant(constant) => constant.cell(),
            Self::Slot(slot) => row(*slot),
            Self::Negate(inner) => inner.evaluate(row).number().map_or(Cell::Null, |n| Cell::Number(-n)),
            Self::Not(inner) => match inner.evaluate(row) {
                Cell::Bool(truth) => Cell::Bool(!truth),
                _ => Cell::Null,
            },
            Self::IsNull(inner) => Cell::Bool(inner.evaluate(row) == Cell::Null),
            Self::Binary(operator, left, right) => binary(*operator, left, right, row),
            Self::Case { arms, otherwise } => {
                for (condition, result) in arms {
                    if condition.evaluate(row) == Cell::Bool(true) {
                        return result.evaluate(row);
                    }
                }
                otherwise.as_ref().map_or(Cell::Null, |node| node.evaluate(row))
            }
            Self::Call(function, arguments) => function.evaluate(arguments, row),
        }
    }
}

impl Constant {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Number(n) => Cell::Number(*n),
            Self::Text(text) => Cell::Text(text),
            Self::Bool(truth) => Cell::Bool(*truth),
        }
    }
}

fn binary<'a>(
    operator: Operator,
    left: &'a Node,
    right: &'a Node,
    row: &impl Fn(usize) -> Cell<'a>,
) -> Cell<'a> {
    let left = left.evaluate(row);
    match (operator, left) {
        // Short cuts that SQL's three-valued logic allows.
        (Operator::And, Cell::Bool(false)) => return Cell::Bool(false),
        (Operator::Or, Cell::Bool(true)) => return Cell::Bool(true),
        _ => {}
    }
    let right = right.evaluate(row);
    match operator {
        Operator::And => match (left, right) {
            (_, Cell::Bool(false)) => Cell::Bool(false),
            (Cell::Bool(true), Cell::Bool(true)) => Cell::Bool(true),
            _ => Cell::Null,
        },
        Operator::Or => match (left, right) {
            (_, Cell::Bool(true)) => Cell::Bool(true),
            (Cell::Bool(false), Cell::Bool(false)) => Cell::Bool(false),
            _ => Cell::Null,
        },
        Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide => {
            arithmetic(operator, left, right)
        }
        comparison => compare(comparison, left, right),
    }
}

fn arithmetic<'a>(operator: Operator, left: Cell<'a>, right: Cell<'a>) -> Cell<'a> {
    let (Some(a), Some(b)) = (left.number(), right.number()) else {
        return Cell::Null;
    };
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        // A division by zero has no amount; NULL makes the caller refuse it instead of booking infinity.
        _ if b == 0.0 => f64::NAN,
        _ => a / b,
    };
    Cell::from_number(result)
}

fn compare<'a>(operator: Operator, left: Cell<'a>, right: Cell<'a>) -> Cell<'a> {
    let ordering = match (left, right) {
        (Cell::Number(a), Cell::Number(b)) => a.partial_cmp(&b),
        (Cell::Text(a), Cell::Text(b)) => Some(a.cmp(b)),
        (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(&b)),
        _ => None,
    };
    let Some(ordering) = ordering else {
        return Cell::Null;
    };
    Cell::Bool(match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        _ => ordering.is_ge(),
    })
}
