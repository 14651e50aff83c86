//! Expressions in CEL over an event's data: rules of fields, what readers require, maps from one shape to
//! another, and which events somebody wants to see. The language is the library's; what may be asked of it is bounded here: rules
//! are an owner's, but the data they run over is a stranger's.
//!
//! Only the members that an expression names are handed over: doing so costs more than running it.
//! A macro inside a macro is refused, since its cost grows with the square of the data. The library works by
//! recursion, so texts are compiled on a stack of their own, and none that nests deeply gets any further.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr};
use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, IdedExpr, Program, Value as CelValue};
use serde_json::Value;

use crate::tree::Tree;

/// The name under which rules and requirements see the data.
pub(crate) const MESSAGE: &str = "message";
/// The name under which a map of `ingress.request` sees the body.
pub(crate) const REQUEST: &str = "request";

/// Longer texts are programs.
const MAX_TEXT_BYTES: usize = 4_000;
/// How deep an expression may nest: running it takes up to 50 KiB of stack a level in debug builds.
const MAX_LEVELS: usize = 32;
/// Enough for whatever a text of that length nests, which is refused only after it was parsed.
const COMPILER_STACK_BYTES: usize = 256 * 1024 * 1024;

/// A compiled expression over one variable or several.
pub struct Expression {
    text: String,
    program: Program,
    variables: Vec<Variable>,
    /// Functions and operators.
    calls: Vec<String>,
}

/// A name that an expression may use, and what it looks at there.
struct Variable {
    name: &'static str,
    needs: Needs,
}

/// Which members of a variable an expression looks at.
#[derive(Debug, Eq, PartialEq)]
enum Needs {
    All,
    Members(Vec<String>),
}

/// Why a text is no expression that may be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExpressionError {
    /// It is not CEL.
    #[error("is no CEL expression: {0}")]
    Syntax(String),
    /// It names something that is not there.
    #[error("names `{name}`, which is neither {variables} nor a name of its own")]
    Unknown {
        /// What it names.
        name: String,
        /// What it may name.
        variables: String,
    },
    /// It calls a function that CEL's standard library does not have.
    #[error("calls `{0}`, which is no function of CEL's")]
    Function(String),
    /// One macro stands inside another.
    #[error(
        "has a macro such as `all` inside another, whose cost grows with the square of the data"
    )]
    Nested,
    /// It is too long.
    #[error("is longer than `{MAX_TEXT_BYTES}` bytes")]
    Long,
    /// It nests too deeply.
    #[error("nests deeper than `{MAX_LEVELS}` levels")]
    Deep,
    /// There is no stack to compile it on.
    #[error("cannot be compiled now: there is no memory for it")]
    NoStack,
}

/// The functions that may be called, as the library names them.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "max",
    "min",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];

impl Expression {
    /// Compiles a text that may name `variable`.
    ///
    /// # Errors
    /// It is no CEL, or asks for what it may not.
    pub fn compile(text: &str, variable: &'static str) -> Result<Self, ExpressionError> {
        Self::compile_over(text, &[variable])
    }

    /// Compiles a text that may name any of `variables`.
    ///
    /// # Errors
    /// It is no CEL, or asks for what it may not.
    pub fn compile_over(text: &str, variables: &[&'static str]) -> Result<Self, ExpressionError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(ExpressionError::Long);
        }
        std::thread::scope(|scope| {
            let compiler = std::thread::Builder::new()
                .name("compiler".to_owned())
                .stack_size(COMPILER_STACK_BYTES);
            let compiled = compiler.spawn_scoped(scope, || Self::compile_here(text, variables));
            let compiled = compiled.map_err(|_| ExpressionError::NoStack)?.join();
            compiled.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn compile_here(text: &str, variables: &[&'static str]) -> Result<Self, ExpressionError> {
        let program = Program::compile(text).map_err(|errors| {
            let text = errors.to_string();
            let first = text.lines().next().unwrap_or_default();
            let first = first.trim_start_matches("ERROR: <input>:");
            ExpressionError::Syntax(first.to_owned())
        })?;
        let seen = variables.iter().map(|name| Seen {
            name,
            all: false,
            members: Vec::new(),
        });
        let mut walk = Walk {
            variables: seen.collect(),
            own: Vec::new(),
            depth: 0,
            level: 0,
            calls: Vec::new(),
        };
        walk.visit(program.expression())?;
        Ok(Self {
            text: text.to_owned(),
            program,
            variables: walk.variables.into_iter().map(Seen::variable).collect(),
            calls: walk.calls,
        })
    }

    /// Returns the text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the members of its first variable that it looks at, if it does not look at all of it.
    pub fn members(&self) -> Option<&[String]> {
        match &self.variables.first()?.needs {
            Needs::All => None,
            Needs::Members(members) => Some(members),
        }
    }

    /// Says whether it looks at anything of a variable.
    pub fn names(&self, variable: &str) -> bool {
        let mut named = self.variables.iter().filter(|it| it.name == variable);
        named.any(|it| it.needs != Needs::Members(Vec::new()))
    }

    /// Says whether it calls a function.
    pub fn calls(&self, function: &str) -> bool {
        self.calls.iter().any(|name| name == function)
    }

    /// Says whether it is true of `data`.
    ///
    /// # Errors
    /// It cannot be told, since a member is missing or has another type, or it is no yes or no.
    pub fn holds(&self, data: &Tree<'_>) -> Result<bool, String> {
        self.holds_over(&[data])
    }

    /// Says whether it is true of the values of its variables, in their order.
    ///
    /// # Errors
    /// Those of [`Expression::holds`].
    pub fn holds_over(&self, values: &[&Tree<'_>]) -> Result<bool, String> {
        match self.run(values)? {
            CelValue::Bool(holds) => Ok(holds),
            _ => Err("does not come out as true or false".to_owned()),
        }
    }

    /// Returns what it comes out as, its objects sorted by name.
    ///
    /// # Errors
    /// It cannot be told, or the outcome has no form in JSON.
    pub fn value(&self, data: &Tree<'_>) -> Result<Value, String> {
        to_json(&self.run(&[data])?)
    }

    fn run(&self, values: &[&Tree<'_>]) -> Result<CelValue, String> {
        let mut context = Context::default();
        for (variable, data) in self.variables.iter().zip(values) {
            let bound = match (&variable.needs, data) {
                (Needs::Members(names), Tree::Object(_)) => {
                    let found = names
                        .iter()
                        .filter_map(|name| Some((key(name), to_cel(data.get(name)?))));
                    CelValue::Map(map(found))
                }
                _ => to_cel(data),
            };
            context.add_variable_from_value(variable.name, bound);
        }
        let value = self.program.execute(&context);
        value.map_err(|error| match error {
            ExecutionError::NoSuchKey(name) => format!("needs `{name}`, which is not there"),
            // The library's other messages may repeat values.
            _ => "cannot be worked out of these values".to_owned(),
        })
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

/// Looks through an expression for what it names.
struct Walk {
    variables: Vec<Seen>,
    /// Names that macros around give.
    own: Vec<String>,
    /// Macros around.
    depth: usize,
    /// Expressions around.
    level: usize,
    calls: Vec<String>,
}

/// What was seen of a variable so far.
struct Seen {
    name: &'static str,
    all: bool,
    members: Vec<String>,
}

impl Seen {
    fn variable(mut self) -> Variable {
        self.members.sort_unstable();
        self.members.dedup();
        let needs = match self.all {
            true => Needs::All,
            false => Needs::Members(self.members),
        };
        Variable {
            name: self.name,
            needs,
        }
    }
}

impl Walk {
    fn variable(&mut self, name: &str) -> Option<&mut Seen> {
        self.variables.iter_mut().find(|seen| seen.name == name)
    }

    fn unknown(&self, name: &str) -> ExpressionError {
        let names = self.variables.iter().map(|seen| format!("`{}`", seen.name));
        ExpressionError::Unknown {
            name: name.to_owned(),
            variables: Vec::from_iter(names).join(", "),
        }
    }

    fn visit(&mut self, at: &IdedExpr) -> Result<(), ExpressionError> {
        if self.level == MAX_LEVELS {
            return Err(ExpressionError::Deep);
        }
        self.level += 1;
        let visited = self.visit_parts(at);
        self.level -= 1;
        visited
    }

    fn visit_parts(&mut self, at: &IdedExpr) -> Result<(), ExpressionError> {
        match &at.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if self.own.contains(name) => Ok(()),
            Expr::Ident(name) => match self.variable(name) {
                Some(seen) => {
                    seen.all = true;
                    Ok(())
                }
                None => Err(self.unknown(name)),
            },
            Expr::Select(select) => {
                if let Expr::Ident(name) = &select.operand.expr
                    && !self.own.contains(name)
                    && let Some(seen) = self.variable(name)
                {
                    seen.members.push(select.field.clone());
                    return Ok(());
                }
                self.visit(&select.operand)
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                // Operators are named by signs.
                let operator = name.starts_with(['_', '@', '!', '-']);
                if !operator && !FUNCTIONS.contains(&name) {
                    return Err(ExpressionError::Function(name.to_owned()));
                }
                self.calls.push(name.to_owned());
                call.target
                    .iter()
                    .try_for_each(|target| self.visit(target))?;
                call.args
                    .iter()
                    .try_for_each(|argument| self.visit(argument))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|item| self.visit(item)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key)?;
                    self.visit(&entry.value)
                }
                EntryExpr::StructField(field) => self.visit(&field.value),
            }),
            Expr::Struct(_) => Err(ExpressionError::Function(
                "a message's constructor".to_owned(),
            )),
            Expr::Comprehension(inner) => {
                self.visit(&inner.iter_range)?;
                if self.depth > 0 {
                    return Err(ExpressionError::Nested);
                }
                let before = self.own.len();
                self.own.push(inner.iter_var.clone());
                self.own.extend(inner.iter_var2.clone());
                self.own.push(inner.accu_var.clone());
                self.depth += 1;
                for part in [
                    &inner.accu_init,
                    &inner.loop_cond,
                    &inner.loop_step,
                    &inner.result,
                ] {
                    self.visit(part)?;
                }
                self.depth -= 1;
                self.own.truncate(before);
                Ok(())
            }
        }
    }
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

fn map(entries: impl Iterator<Item = (Key, CelValue)>) -> Map {
    let map: HashMap<Key, CelValue> = entries.collect();
    Map { map: Arc::new(map) }
}

/// Integers of 64 bits with a sign are CEL's `int`, larger ones its `uint`, others its `double`.
fn to_cel(tree: &Tree<'_>) -> CelValue {
    match tree {
        Tree::Null => CelValue::Null,
        Tree::Bool(flag) => CelValue::Bool(*flag),
        Tree::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => CelValue::Int(int),
            (None, Some(uint)) => CelValue::UInt(uint),
            (None, None) => CelValue::Float(number.as_f64().unwrap_or_default()),
        },
        Tree::Text(text) => CelValue::String(Arc::new(text.clone().into_owned())),
        Tree::List(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        Tree::Object(members) => {
            let members = members.iter();
            CelValue::Map(map(members.map(|(name, value)| (key(name), to_cel(value)))))
        }
    }
}

/// Copies an outcome into JSON. The library's own copy has objects in no order, so that the same
/// event would have other bytes each time.
fn to_json(value: &CelValue) -> Result<Value, String> {
    Ok(match value {
        CelValue::Null => Value::Null,
        CelValue::Bool(flag) => Value::Bool(*flag),
        CelValue::Int(int) => Value::from(*int),
        CelValue::UInt(uint) => Value::from(*uint),
        CelValue::Float(float) => serde_json::Number::from_f64(*float)
            .map(Value::Number)
            .ok_or("comes out as no finite number")?,
        CelValue::String(text) => Value::String(text.to_string()),
        CelValue::Timestamp(time) => Value::String(time.to_rfc3339()),
        CelValue::List(items) => items.iter().map(to_json).collect::<Result<_, _>>()?,
        CelValue::Map(map) => {
            let mut members: Vec<(String, Value)> = map
                .map
                .iter()
                .map(|(name, value)| Ok((name.to_string(), to_json(value)?)))
                .collect::<Result<_, String>>()?;
            members.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(members.into_iter().collect())
        }
        _ => return Err("comes out as something that JSON does not have".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, data: Value, expected: Result<bool, &str>) {
        let expression =
            Expression::compile(text, MESSAGE).unwrap_or_else(|e| panic!("{text}: {e}"));
        let holds = expression.holds(&Tree::from(data));
        assert_eq!(holds, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn a_rule_is_true_or_false_or_cannot_be_told() {
        check("message.a > 0", json!({"a": 1.5}), Ok(true));
        check("message.a > 0.5", json!({"a": 0}), Ok(false));
        check(
            "message.a in ['EUR', 'USD']",
            json!({"a": "CHF"}),
            Ok(false),
        );
        check("has(message.a)", json!({}), Ok(false));
        check("!has(message.a) || message.a > 1", json!({}), Ok(true));
        let lines = json!({"lines": [{"quantity": 1}, {"quantity": 0}]});
        check(
            "message.lines.all(line, line.quantity > 0)",
            lines.clone(),
            Ok(false),
        );
        check("size(message.lines) == 2", lines, Ok(true));
        check("message['a-b'] == 1", json!({"a-b": 1}), Ok(true));
        check(
            "message.id.matches('^o-[0-9]+$')",
            json!({"id": "o-1"}),
            Ok(true),
        );
        check(
            "timestamp(message.at) < timestamp('2030-01-01T00:00:00Z')",
            json!({"at": "2026-01-01T00:00:00Z"}),
            Ok(true),
        );
        check(
            "message.a.b > 0",
            json!({"a": {}}),
            Err("needs `b`, which is not there"),
        );
        check(
            "message.a > 0",
            json!({"a": "x"}),
            Err("cannot be worked out of these values"),
        );
        check(
            "message.a",
            json!({"a": 1}),
            Err("does not come out as true or false"),
        );
    }

    #[test]
    fn what_may_not_be_asked_is_refused_when_it_is_compiled() {
        let error = |text: &str| Expression::compile(text, MESSAGE).unwrap_err();
        assert!(matches!(error("message.a +"), ExpressionError::Syntax(_)));
        assert!(
            matches!(error("other.a"), ExpressionError::Unknown { name, .. } if name == "other")
        );
        assert!(
            matches!(error("run(message.a)"), ExpressionError::Function(name) if name == "run")
        );
        let nested = "message.a.all(x, message.a.exists(y, x == y))";
        assert_eq!(error(nested), ExpressionError::Nested);
        // One after the other is no square.
        assert!(Expression::compile("message.a.filter(x, x > 1).all(y, y > 2)", MESSAGE).is_ok());
        let hidden = "message.a.all(x, x > 0) && x > 0";
        assert!(matches!(error(hidden), ExpressionError::Unknown { name, .. } if name == "x"));
    }

    /// The threads that run it have 2 MiB of stack; an overflow would end the process.
    #[test]
    fn no_text_overflows_the_stack() {
        let times = |part: &str, end: &str| {
            let count = (MAX_TEXT_BYTES - end.len()) / part.len();
            format!("{}{end}", part.repeat(count))
        };
        let levels = |part: &str, end: &str| format!("{}{end}", part.repeat(MAX_LEVELS - 2));
        for text in [
            times("(", "1"),
            times("!", "true"),
            times("-", "1"),
            times("[", "1"),
            times("{1:", "1"),
            times("1+", "1"),
            times("true&&", "true"),
            times("true?", "true"),
            times("true?true:", "true"),
            times("a.", "b"),
            levels("1+", "1") + "==1",
            levels("true?true:", "true"),
            format!("message{}", "[0]".repeat(1_200)),
            format!("message{}", ".a".repeat(1_900)),
            format!("message{}", ".a".repeat(MAX_LEVELS - 2)),
            format!("message{}", ".size()".repeat(500)),
        ] {
            // Of an overflow nothing else would tell.
            println!("{:.40} of {} bytes", text, text.len());
            let run = move || {
                if let Ok(expression) = Expression::compile(&text, MESSAGE) {
                    drop(expression.holds(&Tree::Null));
                }
            };
            let thread = std::thread::Builder::new().name("runner".to_owned());
            let thread = thread.stack_size(2 * 1024 * 1024);
            thread.spawn(run).unwrap().join().unwrap();
        }
        let deep = format!("message.a{} == 1", "+1".repeat(MAX_LEVELS));
        let error = Expression::compile(&deep, MESSAGE).unwrap_err();
        assert_eq!(error, ExpressionError::Deep);
        let long = " ".repeat(MAX_TEXT_BYTES) + "true";
        let error = Expression::compile(&long, MESSAGE).unwrap_err();
        assert_eq!(error, ExpressionError::Long);
    }

    #[test]
    fn only_the_members_it_names_are_handed_over() {
        let members = |text: &str| {
            let expression = Expression::compile(text, MESSAGE).unwrap();
            expression.members().map(<[String]>::to_vec)
        };
        assert_eq!(
            members("message.b.c > 1 && has(message.a)"),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(members("size(message) > 1"), None);
        assert_eq!(members("message['a'] > 1"), None);
        assert_eq!(members("1 < 2"), Some(Vec::new()));
    }

    #[test]
    fn an_outcome_has_the_same_bytes_each_time() {
        let text = "{'z': request.a, 'm': [1, 2.5, null], 'a': {'y': 1, 'x': request.b}}";
        let expression = Expression::compile(text, REQUEST).unwrap();
        let data = Tree::from(json!({"a": 3, "b": "x"}));
        for _ in 0..20 {
            let value = expression.value(&data).unwrap();
            let expected = r#"{"a":{"x":"x","y":1},"m":[1,2.5,null],"z":3}"#;
            assert_eq!(value.to_string(), expected);
        }
    }
}
