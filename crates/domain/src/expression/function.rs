//! The functions that an expression may call. `greatest` and `least` skip NULL, as PostgreSQL and DataFusion do.

use sqlparser::ast::{Expr, Function as SqlCall, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::{Cell, Kind, Node, Scope, compile, need, refuse, unify};
use crate::DomainError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Greatest,
    Least,
    Abs,
    Round,
    Coalesce,
}

pub(super) fn compile_call(call: &SqlCall, scope: &dyn Scope) -> Result<(Node, Kind), DomainError> {
    let name = call.name.to_string().to_lowercase();
    let function = match name.as_str() {
        "greatest" => Function::Greatest,
        "least" => Function::Least,
        "abs" => Function::Abs,
        "round" => Function::Round,
        "coalesce" => Function::Coalesce,
        other => {
            return refuse(format!(
                "there is no function '{other}'; there are greatest, least, abs, round, coalesce"
            ));
        }
    };
    let arguments = arguments(call)?;
    let unary = matches!(function, Function::Abs | Function::Round);
    if arguments.is_empty() || (unary && arguments.len() != 1) {
        return refuse(format!(
            "{name} needs {} argument",
            if unary { "exactly one" } else { "at least one" }
        ));
    }
    let mut kind = Kind::Null;
    let mut nodes = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let (node, argument_kind) = compile(argument, scope)?;
        if function != Function::Coalesce {
            need(argument_kind, Kind::Number, argument)?;
        }
        kind = unify(kind, argument_kind, argument)?;
        nodes.push(node);
    }
    Ok((Node::Call(function, nodes), kind))
}

fn arguments(call: &SqlCall) -> Result<Vec<&Expr>, DomainError> {
    let FunctionArguments::List(list) = &call.args else {
        return refuse(format!("'{call}' needs arguments in parentheses"));
    };
    list.args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
            other => refuse(format!("argument '{other}' is not supported")),
        })
        .collect()
}

impl Function {
    pub(super) fn evaluate<'a>(self, arguments: &'a [Node], row: &impl Fn(usize) -> Cell<'a>) -> Cell<'a> {
        let mut cells = arguments.iter().map(|node| node.evaluate(row));
        match self {
            Self::Coalesce => cells.find(|cell| *cell != Cell::Null).unwrap_or(Cell::Null),
            Self::Abs => cells.next().and_then(Cell::number).map_or(Cell::Null, |n| Cell::Number(n.abs())),
            Self::Round => {
                cells.next().and_then(Cell::number).map_or(Cell::Null, |n| Cell::Number(n.round()))
            }
            Self::Greatest => {
                cells.filter_map(Cell::number).reduce(f64::max).map_or(Cell::Null, Cell::Number)
            }
            Self::Least => cells.filter_map(Cell::number).reduce(f64::min).map_or(Cell::Null, Cell::Number),
        }
    }
}
