//! A Protobuf file as it is written: declarations with the names that stand there, without comments
//! and spaces. It is for writing a text again (`format.rs`); what a file means is the compiler's, which
//! has taken the text before. What is not read here (groups, options in braces, editions) makes it
//! give up, not guess.

/// Messages inside of messages at most.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) syntax: Option<String>,
    pub(super) package: Option<String>,
    pub(super) imports: Vec<String>,
    pub(super) public_imports: Vec<String>,
    pub(super) options: Vec<Choice>,
    pub(super) messages: Vec<Message>,
    pub(super) enumerations: Vec<Enumeration>,
    pub(super) extends: Vec<Extend>,
    pub(super) services: Vec<Service>,
}

#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) reserved: Vec<Vec<Range>>,
    pub(super) options: Vec<Choice>,
    pub(super) fields: Vec<Field>,
    pub(super) one_ofs: Vec<OneOf>,
    pub(super) extensions: Vec<Vec<Range>>,
    pub(super) extends: Vec<Extend>,
    pub(super) messages: Vec<Message>,
    pub(super) enumerations: Vec<Enumeration>,
}

/// An option and its value.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// With parentheses if it is an extension, and with what is behind them.
    pub(super) name: String,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// A number, a name, true or false.
    Word(String),
}

/// What is reserved, or for extensions.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Range {
    One(i64),
    Span(i64, End),
    Name(String),
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum End {
    At(i64),
    Max,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) label: Option<String>,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) number: i64,
    pub(super) options: Vec<Choice>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Named(String),
    Map(String, String),
}

#[derive(Debug)]
pub(super) struct OneOf {
    pub(super) name: String,
    pub(super) options: Vec<Choice>,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Extend {
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Enumeration {
    pub(super) name: String,
    pub(super) reserved: Vec<Vec<Range>>,
    pub(super) options: Vec<Choice>,
    pub(super) values: Vec<(String, i64, Vec<Choice>)>,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) options: Vec<Choice>,
    pub(super) methods: Vec<Method>,
}

#[derive(Debug)]
pub(super) struct Method {
    pub(super) name: String,
    pub(super) input: Streamed,
    pub(super) output: Streamed,
    pub(super) options: Vec<Choice>,
}

#[derive(Debug)]
pub(super) struct Streamed {
    pub(super) streams: bool,
    pub(super) name: String,
}

/// Reads a text that the compiler has taken; `None` if it holds what is not read here.
pub(super) fn read(text: &str) -> Option<File> {
    let mut tokens = tokens(text)?;
    tokens.reverse();
    let mut reader = Reader { tokens };
    let mut file = File::default();
    while !reader.tokens.is_empty() {
        if reader.takes(';') {
            continue;
        }
        match reader.word()?.as_str() {
            "syntax" => {
                reader.expect('=')?;
                file.syntax = Some(reader.text()?);
                reader.expect(';')?;
            }
            "package" => {
                file.package = Some(reader.word()?);
                reader.expect(';')?;
            }
            "import" => {
                let public = reader.takes_word("public");
                let into = if public {
                    &mut file.public_imports
                } else {
                    &mut file.imports
                };
                into.push(reader.text()?);
                reader.expect(';')?;
            }
            "option" => file.options.push(reader.option_statement()?),
            "message" => file.messages.push(reader.message(0)?),
            "enum" => file.enumerations.push(reader.enumeration()?),
            "extend" => file.extends.push(reader.extend()?),
            "service" => file.services.push(reader.service()?),
            _ => return None,
        }
    }
    Some(file)
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = &comment[comment.find("*/")? + 2..];
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if matches!(first, '"' | '\'') {
            let (part, behind) = quoted(&rest[1..], first)?;
            rest = behind;
            // Texts that stand side by side are one.
            match tokens.last_mut() {
                Some(Token::Text(before)) => before.push_str(&part),
                _ => tokens.push(Token::Text(part)),
            }
        } else {
            tokens.push(Token::Symbol(first));
            rest = &rest[first.len_utf8()..];
        }
    }
    Some(tokens)
}

/// Reads to the end of a quoted text, and returns what is behind it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => out.push(match characters.next()?.1 {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                same @ ('\\' | '\'' | '"' | '?') => same,
                // A byte by its number need not be a character.
                _ => return None,
            }),
            end if end == quote => return Some((out, &text[at + 1..])),
            '\n' => return None,
            other => out.push(other),
        }
    }
    None
}

fn integer(word: &str) -> Option<i64> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word),
    };
    let value = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(digits) => i64::from_str_radix(digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    value.ok().map(|value| sign * value)
}

/// What is left, the next one last.
struct Reader {
    tokens: Vec<Token>,
}

impl Reader {
    fn word(&mut self) -> Option<String> {
        match self.tokens.pop()? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        match self.tokens.pop()? {
            Token::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<i64> {
        integer(&self.word()?)
    }

    fn takes(&mut self, symbol: char) -> bool {
        let is_next = self.tokens.last() == Some(&Token::Symbol(symbol));
        if is_next {
            self.tokens.pop();
        }
        is_next
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.tokens.last(), Some(Token::Word(next)) if next == word);
        if is_next {
            self.tokens.pop();
        }
        is_next
    }

    fn expect(&mut self, symbol: char) -> Option<()> {
        self.takes(symbol).then_some(())
    }

    fn choice(&mut self) -> Option<Choice> {
        let name = match self.takes('(') {
            true => {
                let inner = self.word()?;
                self.expect(')')?;
                let behind =
                    matches!(self.tokens.last(), Some(Token::Word(next)) if next.starts_with('.'));
                let behind = if behind { self.word()? } else { String::new() };
                format!("({inner}){behind}")
            }
            false => self.word()?,
        };
        self.expect('=')?;
        let value = match self.tokens.pop()? {
            Token::Word(word) => Value::Word(word),
            Token::Text(text) => Value::Text(text),
            Token::Symbol(_) => return None,
        };
        Some(Choice { name, value })
    }

    fn option_statement(&mut self) -> Option<Choice> {
        let choice = self.choice()?;
        self.expect(';')?;
        Some(choice)
    }

    /// Options in brackets, if there are any, and the end of the statement.
    fn options(&mut self) -> Option<Vec<Choice>> {
        let mut options = Vec::new();
        if self.takes('[') {
            loop {
                options.push(self.choice()?);
                if !self.takes(',') {
                    break;
                }
            }
            self.expect(']')?;
        }
        self.expect(';')?;
        Some(options)
    }

    fn ranges(&mut self) -> Option<Vec<Range>> {
        let mut ranges = Vec::new();
        loop {
            ranges.push(match self.tokens.pop()? {
                Token::Text(name) => Range::Name(name),
                Token::Word(first) => {
                    let first = integer(&first)?;
                    match self.takes_word("to") {
                        true if self.takes_word("max") => Range::Span(first, End::Max),
                        true => Range::Span(first, End::At(self.number()?)),
                        false => Range::One(first),
                    }
                }
                Token::Symbol(_) => return None,
            });
            if !self.takes(',') {
                self.expect(';')?;
                return Some(ranges);
            }
        }
    }

    fn message(&mut self, depth: usize) -> Option<Message> {
        if depth > MAX_DEPTH {
            return None;
        }
        let name = self.word()?;
        let mut message = Message {
            name,
            ..Message::default()
        };
        self.expect('{')?;
        while !self.takes('}') {
            if self.takes(';') {
                continue;
            }
            let word = self.word()?;
            // A field's type may have the name of a keyword; then the compiler took it as one, or not.
            match word.as_str() {
                "reserved" => message.reserved.push(self.ranges()?),
                "extensions" => message.extensions.push(self.ranges()?),
                "option" => message.options.push(self.option_statement()?),
                "message" => message.messages.push(self.message(depth + 1)?),
                "enum" => message.enumerations.push(self.enumeration()?),
                "extend" => message.extends.push(self.extend()?),
                "oneof" => message.one_ofs.push(self.one_of()?),
                _ => message.fields.push(self.field(word)?),
            }
        }
        Some(message)
    }

    fn field(&mut self, first: String) -> Option<Field> {
        let is_label = matches!(first.as_str(), "optional" | "required" | "repeated");
        let (label, kind) = match is_label {
            true => (Some(first), self.word()?),
            false => (None, first),
        };
        let kind = match kind.as_str() {
            "group" => return None,
            "map" if self.takes('<') => {
                let key = self.word()?;
                self.expect(',')?;
                let value = self.word()?;
                self.expect('>')?;
                Kind::Map(key, value)
            }
            _ => Kind::Named(kind),
        };
        let name = self.word()?;
        self.expect('=')?;
        let number = self.number()?;
        let options = self.options()?;
        Some(Field {
            label,
            kind,
            name,
            number,
            options,
        })
    }

    fn one_of(&mut self) -> Option<OneOf> {
        let name = self.word()?;
        let (mut options, mut fields) = (Vec::new(), Vec::new());
        self.expect('{')?;
        while !self.takes('}') {
            if self.takes(';') {
                continue;
            }
            match self.word()? {
                word if word == "option" => options.push(self.option_statement()?),
                word => fields.push(self.field(word)?),
            }
        }
        Some(OneOf {
            name,
            options,
            fields,
        })
    }

    fn extend(&mut self) -> Option<Extend> {
        let name = self.word()?;
        let mut fields = Vec::new();
        self.expect('{')?;
        while !self.takes('}') {
            if !self.takes(';') {
                let word = self.word()?;
                fields.push(self.field(word)?);
            }
        }
        Some(Extend { name, fields })
    }

    fn enumeration(&mut self) -> Option<Enumeration> {
        let name = self.word()?;
        let (mut reserved, mut options, mut values) = (Vec::new(), Vec::new(), Vec::new());
        self.expect('{')?;
        while !self.takes('}') {
            if self.takes(';') {
                continue;
            }
            let word = self.word()?;
            if self.takes('=') {
                let number = self.number()?;
                values.push((word, number, self.options()?));
                continue;
            }
            match word.as_str() {
                "reserved" => reserved.push(self.ranges()?),
                "option" => options.push(self.option_statement()?),
                _ => return None,
            }
        }
        Some(Enumeration {
            name,
            reserved,
            options,
            values,
        })
    }

    fn service(&mut self) -> Option<Service> {
        let name = self.word()?;
        let (mut options, mut methods) = (Vec::new(), Vec::new());
        self.expect('{')?;
        while !self.takes('}') {
            if self.takes(';') {
                continue;
            }
            match self.word()?.as_str() {
                "option" => options.push(self.option_statement()?),
                "rpc" => methods.push(self.method()?),
                _ => return None,
            }
        }
        Some(Service {
            name,
            options,
            methods,
        })
    }

    fn method(&mut self) -> Option<Method> {
        let name = self.word()?;
        let input = self.streamed()?;
        self.takes_word("returns").then_some(())?;
        let output = self.streamed()?;
        let mut options = Vec::new();
        if self.takes('{') {
            while !self.takes('}') {
                if !self.takes(';') {
                    self.takes_word("option").then_some(())?;
                    options.push(self.option_statement()?);
                }
            }
        } else {
            self.expect(';')?;
        }
        Some(Method {
            name,
            input,
            output,
            options,
        })
    }

    fn streamed(&mut self) -> Option<Streamed> {
        self.expect('(')?;
        let first = self.word()?;
        // A message may be called `stream`.
        let (streams, name) = match self.takes(')') {
            true => {
                return Some(Streamed {
                    streams: false,
                    name: first,
                });
            }
            false => (first == "stream", self.word()?),
        };
        self.expect(')')?;
        streams.then_some(Streamed { streams, name })
    }
}
