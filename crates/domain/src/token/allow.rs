//! The allow-list for what holders append: any holder can append Datalog, and a kilobyte of it can burn seconds.
//!
//! A block of 1.6 kB burned 20 s and a single check of nested closures with no predicate 21 s, both past the run
//! limits of biscuit-auth, which are looked at between rules only. So nothing of an appended block is evaluated before
//! it is held against this list, over its parsed form; its printed source can be forged by a crafted name. What is
//! not named here is refused.

use biscuit_auth::datalog::SymbolTable;
use biscuit_auth::format::schema::op_binary::Kind as Binary;
use biscuit_auth::format::schema::op_unary::Kind as Unary;
use biscuit_auth::format::schema::{self, check, op, term};

/// The most checks in one block.
const MAX_CHECKS: usize = 4;
/// The most alternatives (`or`) in one check.
const MAX_ALTERNATIVES: usize = 4;
/// The most predicates in one alternative; there has to be one.
const MAX_PREDICATES: usize = 2;
/// The most operations in one check, those inside closures included.
const MAX_OPERATIONS: usize = 32;
/// The most steps in one check: operations, the values they are about, and closures. An expression in good form of 32
/// operations has 97; a malformed one is bounded too.
const MAX_STEPS: usize = 128;
/// The most literals in one set or array.
const MAX_LITERALS: usize = 64;

/// The facts that a check may ask for, each with one term: the same that authorization supplies.
const FACTS: [&str; 5] = ["operation", "time", "account", "pin_name", "pin_cid"];

const BAD_BLOCK: &str = "it has facts, rules, scopes or another's signature, wanted only `check if`";
const TOO_MANY_CHECKS: &str = "it has more than 4 checks";
const BAD_KIND: &str = "it has `check all` or `reject if`, wanted only `check if`";
const BAD_ALTERNATIVES: &str = "a check has no alternative or more than 4, a scope, or a head";
const BAD_PREDICATES: &str = "a check asks for no fact or for more than 2 in one alternative";
const BAD_FACT: &str = "a check asks for a fact other than operation, time, account, pin_name and pin_cid";
const BAD_TERM: &str = "a value is not a string, a date or a variable";
const TOO_MANY_LITERALS: &str = "a list has more than 64 values or other values than strings and dates";
const TOO_MANY_OPERATIONS: &str = "a check has more than 32 operations";
const BAD_OPERATION: &str =
    "an operation is not a comparison, starts_with, contains, and, or, not, or parentheses of these";

/// Which facts of a pin a check asks for, so that a refusal can say what to supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Asked {
    pub name: bool,
    pub cid: bool,
}

/// Hold one appended block against the list; returns what each of its checks asks for.
pub(super) fn check_block(block: &schema::SnapshotBlock, symbols: &SymbolTable) -> Result<Vec<Asked>, &'static str> {
    let only_checks = block.facts.is_empty() && block.rules.is_empty() && block.scope.is_empty();
    hold(only_checks && block.external_key.is_none(), BAD_BLOCK)?;
    hold(block.checks.len() <= MAX_CHECKS, TOO_MANY_CHECKS)?;
    block.checks.iter().map(|check| check_check(check, symbols)).collect()
}

fn check_check(check: &schema::Check, symbols: &SymbolTable) -> Result<Asked, &'static str> {
    let mut asked = Asked::default();
    let kind = check.kind.map_or(Some(check::Kind::One), check::Kind::from_i32);
    hold(kind == Some(check::Kind::One), BAD_KIND)?;
    hold((1..=MAX_ALTERNATIVES).contains(&check.queries.len()), BAD_ALTERNATIVES)?;
    let mut budget = Budget { operations: MAX_OPERATIONS, steps: MAX_STEPS };
    for query in &check.queries {
        hold(query.scope.is_empty() && query.head.terms.is_empty(), BAD_ALTERNATIVES)?;
        hold((1..=MAX_PREDICATES).contains(&query.body.len()), BAD_PREDICATES)?;
        for predicate in &query.body {
            check_predicate(predicate, symbols, &mut asked)?;
        }
        for expression in &query.expressions {
            check_operations(&expression.ops, &mut budget)?;
        }
    }
    Ok(asked)
}

fn check_predicate(
    predicate: &schema::Predicate,
    symbols: &SymbolTable,
    asked: &mut Asked,
) -> Result<(), &'static str> {
    let name = symbols.get_symbol(predicate.name).filter(|name| FACTS.contains(name)).ok_or(BAD_FACT)?;
    let [term] = predicate.terms.as_slice() else { return Err(BAD_FACT) };
    asked.name |= name == "pin_name";
    asked.cid |= name == "pin_cid";
    hold(is_variable(term) || is_literal(term), BAD_TERM)
}

/// What is left for one check.
struct Budget {
    operations: usize,
    steps: usize,
}

fn check_operations(operations: &[schema::Op], budget: &mut Budget) -> Result<(), &'static str> {
    for operation in operations {
        spend(&mut budget.steps)?;
        match operation.content.as_ref().ok_or(BAD_OPERATION)? {
            op::Content::Value(term) => check_value(term)?,
            op::Content::Unary(unary) => {
                spend(&mut budget.operations)?;
                hold(is_allowed_unary(unary), BAD_OPERATION)?;
            }
            op::Content::Binary(binary) => {
                spend(&mut budget.operations)?;
                hold(is_allowed_binary(binary), BAD_OPERATION)?;
            }
            // `and` and `or` hold their right side in a closure without parameters; one with parameters is a loop.
            op::Content::Closure(closure) => {
                hold(closure.params.is_empty(), BAD_OPERATION)?;
                check_operations(&closure.ops, budget)?;
            }
        }
    }
    Ok(())
}

fn spend(budget: &mut usize) -> Result<(), &'static str> {
    *budget = budget.checked_sub(1).ok_or(TOO_MANY_OPERATIONS)?;
    Ok(())
}

fn check_value(value: &schema::Term) -> Result<(), &'static str> {
    let list = match &value.content {
        Some(term::Content::Set(set)) => &set.set,
        Some(term::Content::Array(array)) => &array.array,
        _ => return hold(is_variable(value) || is_literal(value), BAD_TERM),
    };
    hold(list.len() <= MAX_LITERALS && list.iter().all(is_literal), TOO_MANY_LITERALS)
}

const fn is_variable(term: &schema::Term) -> bool {
    matches!(term.content, Some(term::Content::Variable(_)))
}

const fn is_literal(term: &schema::Term) -> bool {
    matches!(term.content, Some(term::Content::String(_) | term::Content::Date(_)))
}

fn is_allowed_unary(unary: &schema::OpUnary) -> bool {
    matches!(Unary::from_i32(unary.kind), Some(Unary::Negate | Unary::Parens))
}

fn is_allowed_binary(binary: &schema::OpBinary) -> bool {
    let comparison = matches!(
        Binary::from_i32(binary.kind),
        Some(
            Binary::LessThan
                | Binary::GreaterThan
                | Binary::LessOrEqual
                | Binary::GreaterOrEqual
                | Binary::Equal
                | Binary::NotEqual
                | Binary::HeterogeneousEqual
                | Binary::HeterogeneousNotEqual
        )
    );
    let search = matches!(Binary::from_i32(binary.kind), Some(Binary::Contains | Binary::Prefix));
    let logic =
        matches!(Binary::from_i32(binary.kind), Some(Binary::And | Binary::Or | Binary::LazyAnd | Binary::LazyOr));
    comparison || search || logic
}

fn hold(condition: bool, why: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(why) }
}
