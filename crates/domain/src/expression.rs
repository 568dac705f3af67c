//! SQL scalar expressions over one row: parsed by `sqlparser`, checked for names and types once, then evaluated
//! without allocation.
//!
//! The hot path decides with it, gates and settling value with it, so there is one meaning of a value model.
//! Supported: literals, columns, `+ - * /`, comparisons, `AND OR NOT`, `IS [NOT] NULL`, `IN`, `BETWEEN`, `CASE`,
//! `greatest least abs round coalesce`. NULL follows SQL: it spreads through arithmetic, and a condition that is
//! NULL is not true. Everything else is refused by name when the expression is saved, never when it is run.

use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value as SqlValue};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::DomainError;

mod eval;
mod function;

pub use eval::Cell;
use function::Function;

const MAX_LENGTH: usize = 10_000;
const MAX_DEPTH: usize = 64;

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// Text.
    Text,
    /// True or false.
    Bool,
    /// The literal NULL, which fits every type.
    Null,
}

/// The columns that an expression may name, each with the slot a row keeps it in.
pub trait Scope {
    /// The slot and type of `table.column`, or of a bare `column` when `table` is empty.
    fn resolve(&self, table: &str, column: &str) -> Option<(usize, Kind)>;
    /// All names, for the message that tells what was possible.
    fn names(&self) -> Vec<String>;
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Constant(Constant),
    Slot(usize),
    Negate(Box<Node>),
    Not(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    IsNull(Box<Node>),
    Case { arms: Vec<(Node, Node)>, otherwise: Option<Box<Node>> },
    Call(Function, Vec<Node>),
}

#[derive(Debug, Clone, PartialEq)]
enum Constant {
    Null,
    Number(f64),
    Text(Arc<str>),
    Bool(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// A checked expression, ready to be evaluated row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    root: Node,
    kind: Kind,
}

impl Expression {
    /// Parses and checks `sql` against `scope`.
    pub fn parse(sql: &str, scope: &dyn Scope) -> Result<Self, DomainError> {
        if sql.len() > MAX_LENGTH {
            return Err(DomainError::Expression(format!("longer than {MAX_LENGTH} characters")));
        }
        let dialect = GenericDialect {};
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(MAX_DEPTH)
            .try_with_sql(sql)
            .map_err(|e| DomainError::Expression(e.to_string()))?;
        let parsed = parser.parse_expr().map_err(|e| DomainError::Expression(e.to_string()))?;
        let rest = parser.peek_token();
        if rest.token != sqlparser::tokenizer::Token::EOF {
            return Err(DomainError::Expression(format!("unexpected '{}' after the expression", rest.token)));
        }
        let (root, kind) = compile(&parsed, scope)?;
        Ok(Self { root, kind })
    }

    /// The type of its result.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the result may depend on that slot.
    pub fn reads(&self, slot: usize) -> bool {
        self.root.reads(slot)
    }

    /// The result for the row whose slots `row` answers.
    pub fn evaluate<'a>(&'a self, row: &impl Fn(usize) -> Cell<'a>) -> Cell<'a> {
        self.root.evaluate(row)
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, DomainError> {
    Err(DomainError::Expression(message.into()))
}

fn compile(expr: &Expr, scope: &dyn Scope) -> Result<(Node, Kind), DomainError> {
    match expr {
        Expr::Nested(inner) => compile(inner, scope),
        Expr::Identifier(name) => column(scope, "", &name.value),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, name] => column(scope, &table.value, &name.value),
            _ => refuse(format!("'{expr}' has too many dots; write table.column")),
        },
        Expr::Value(value) => constant(&value.value),
        Expr::UnaryOp { op, expr: inner } => unary(*op, inner, scope),
        Expr::BinaryOp { left, op, right } => binary(left, op, right, scope),
        Expr::IsNull(inner) => Ok((Node::IsNull(Box::new(compile(inner, scope)?.0)), Kind::Bool)),
        Expr::IsNotNull(inner) => {
            let node = Node::IsNull(Box::new(compile(inner, scope)?.0));
            Ok((Node::Not(Box::new(node)), Kind::Bool))
        }
        Expr::InList { expr: inner, list, negated } => in_list(inner, list, *negated, scope),
        Expr::Between { expr: inner, negated, low, high } => {
            let above = binary(inner, &BinaryOperator::GtEq, low, scope)?.0;
            let below = binary(inner, &BinaryOperator::LtEq, high, scope)?.0;
            Ok(negate_if(*negated, Node::Binary(Operator::And, Box::new(above), Box::new(below))))
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            let arms = conditions.iter().map(|arm| (&arm.condition, &arm.result));
            case(operand.as_deref(), arms, else_result.as_deref(), scope)
        }
        Expr::Function(call) => function::compile_call(call, scope),
        Expr::Floor { expr: inner, .. } | Expr::Ceil { expr: inner, .. } => {
            refuse(format!("floor and ceil are not supported (in '{inner}'); use round"))
        }
        other => refuse(format!("'{other}' is not supported; see the list of operators and functions")),
    }
}

fn column(scope: &dyn Scope, table: &str, name: &str) -> Result<(Node, Kind), DomainError> {
    if let Some((slot, kind)) = scope.resolve(table, name) {
        return Ok((Node::Slot(slot), kind));
    }
    let asked = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
    refuse(format!("there is no column '{asked}'; there are {}", scope.names().join(", ")))
}

fn constant(value: &SqlValue) -> Result<(Node, Kind), DomainError> {
    let (constant, kind) = match value {
        SqlValue::Number(digits, _) => match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => (Constant::Number(number), Kind::Number),
            _ => return refuse(format!("'{digits}' is not a finite number")),
        },
        SqlValue::SingleQuotedString(text) => (Constant::Text(text.as_str().into()), Kind::Text),
        SqlValue::Boolean(truth) => (Constant::Bool(*truth), Kind::Bool),
        SqlValue::Null => (Constant::Null, Kind::Null),
        other => return refuse(format!("literal {other} is not supported")),
    };
    Ok((Node::Constant(constant), kind))
}

fn unary(op: UnaryOperator, inner: &Expr, scope: &dyn Scope) -> Result<(Node, Kind), DomainError> {
    let (node, kind) = compile(inner, scope)?;
    match op {
        UnaryOperator::Not => {
            need(kind, Kind::Bool, inner)?;
            Ok((Node::Not(Box::new(node)), Kind::Bool))
        }
        UnaryOperator::Minus => {
            need(kind, Kind::Number, inner)?;
            Ok((Node::Negate(Box::new(node)), Kind::Number))
        }
        UnaryOperator::Plus => {
            need(kind, Kind::Number, inner)?;
            Ok((node, Kind::Number))
        }
        other => refuse(format!("operator {other} is not supported")),
    }
}

fn binary(
    left: &Expr,
    op: &BinaryOperator,
    right: &Expr,
    scope: &dyn Scope,
) -> Result<(Node, Kind), DomainError> {
    let (operator, operands, result) = match op {
        BinaryOperator::Plus => (Operator::Add, Some(Kind::Number), Kind::Number),
        BinaryOperator::Minus => (Operator::Subtract, Some(Kind::Number), Kind::Number),
        BinaryOperator::Multiply => (Operator::Multiply, Some(Kind::Number), Kind::Number),
        BinaryOperator::Divide => (Operator::Divide, Some(Kind::Number), Kind::Number),
        BinaryOperator::And => (Operator::And, Some(Kind::Bool), Kind::Bool),
        BinaryOperator::Or => (Operator::Or, Some(Kind::Bool), Kind::Bool),
        BinaryOperator::Eq => (Operator::Equal, None, Kind::Bool),
        BinaryOperator::NotEq => (Operator::NotEqual, None, Kind::Bool),
        BinaryOperator::Lt => (Operator::Less, None, Kind::Bool),
        BinaryOperator::LtEq => (Operator::LessOrEqual, None, Kind::Bool),
        BinaryOperator::Gt => (Operator::Greater, None, Kind::Bool),
        BinaryOperator::GtEq => (Operator::GreaterOrEqual, None, Kind::Bool),
        other => return refuse(format!("operator {other} is not supported")),
    };
    let (left_node, left_kind) = compile(left, scope)?;
    let (right_node, right_kind) = compile(right, scope)?;
    match operands {
        Some(kind) => {
            need(left_kind, kind, left)?;
            need(right_kind, kind, right)?;
        }
        None => {
            unify(left_kind, right_kind, left)?;
        }
    }
    Ok((Node::Binary(operator, Box::new(left_node), Box::new(right_node)), result))
}

fn in_list(
    inner: &Expr,
    list: &[Expr],
    negated: bool,
    scope: &dyn Scope,
) -> Result<(Node, Kind), DomainError> {
    let mut any: Option<Node> = None;
    for item in list {
        let (equal, _) = binary(inner, &BinaryOperator::Eq, item, scope)?;
        any = Some(match any {
            Some(so_far) => Node::Binary(Operator::Or, Box::new(so_far), Box::new(equal)),
            None => equal,
        });
    }
    match any {
        Some(node) => Ok(negate_if(negated, node)),
        None => refuse("IN needs at least one value"),
    }
}

fn case<'a>(
    operand: Option<&Expr>,
    arms: impl Iterator<Item = (&'a Expr, &'a Expr)>,
    otherwise: Option<&Expr>,
    scope: &dyn Scope,
) -> Result<(Node, Kind), DomainError> {
    let mut kind = Kind::Null;
    let mut compiled = Vec::new();
    for (condition, result) in arms {
        let condition = if let Some(operand) = operand {
            binary(operand, &BinaryOperator::Eq, condition, scope)?.0
        } else {
            let (node, condition_kind) = compile(condition, scope)?;
            need(condition_kind, Kind::Bool, condition)?;
            node
        };
        let (node, result_kind) = compile(result, scope)?;
        kind = unify(kind, result_kind, result)?;
        compiled.push((condition, node));
    }
    let otherwise = match otherwise {
        Some(expr) => {
            let (node, result_kind) = compile(expr, scope)?;
            kind = unify(kind, result_kind, expr)?;
            Some(Box::new(node))
        }
        None => None,
    };
    Ok((Node::Case { arms: compiled, otherwise }, kind))
}

fn negate_if(negated: bool, node: Node) -> (Node, Kind) {
    (if negated { Node::Not(Box::new(node)) } else { node }, Kind::Bool)
}

fn need(found: Kind, wanted: Kind, at: &Expr) -> Result<(), DomainError> {
    if found == wanted || found == Kind::Null {
        return Ok(());
    }
    refuse(format!("'{at}' is {} where {} is needed", name(found), name(wanted)))
}

fn unify(left: Kind, right: Kind, at: &Expr) -> Result<Kind, DomainError> {
    match (left, right) {
        (Kind::Null, other) | (other, Kind::Null) => Ok(other),
        (a, b) if a == b => Ok(a),
        (a, b) => refuse(format!("near '{at}': {} and {} do not mix", name(a), name(b))),
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "a number",
        Kind::Text => "text",
        Kind::Bool => "a condition",
        Kind::Null => "NULL",
    }
}

#[cfg(test)]
mod tests;
