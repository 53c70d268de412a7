//! A request: the client's exact bytes with a typed view over them.
//!
//! Nothing is rewritten. What the view understands can be asked for, hashed and spliced; what it does not stays
//! where it is in the bytes. Each endpoint's view is a file beneath this one.

mod chat;
mod edit;
mod embeddings;
mod fields;
mod items;
mod leave;
mod messages;
mod no_key;
mod openai;
mod question;
mod responses;
mod size;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use bytes::Bytes;

use crate::json::{Document, Error, Kind, NodeId, Order, gather, quote, write};
use crate::models::{ModelFacts, Needs};
use crate::prompt::{Block, Prompt, Role};
use crate::{Endpoint, Provider};

pub use items::Item;
pub(crate) use leave::Leave;
pub use no_key::NoKey;
pub use question::NoQuestion;

/// A body that was understood.
#[derive(Debug)]
pub struct Request {
    endpoint: Endpoint,
    document: Document,
    model: NodeId,
    model_name: String,
    view: Box<dyn View>,
}

/// Why a body is not understood and must be forwarded as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opaque {
    /// Not JSON, or not UTF-8.
    NotJson,
    /// JSON, but not an object.
    NotObject,
    /// Nested too deep to walk.
    TooDeep,
    /// Too many values to hold.
    TooLarge,
    /// No `model`.
    NoModel,
    /// This field is named twice, so readers may differ on its value.
    Duplicate(&'static str),
    /// This field is absent or not of its type.
    WrongType(&'static str),
}

/// What an OpenAI-shaped upstream really is; meaningless for other endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's own API, whose fields are known.
    OpenAi,
    /// A server that speaks OpenAI's API and may add fields of its own.
    Compatible,
}

/// Request fields that the provider's answer repeats and the key leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Echo {
    /// Each field with its JSON value as written; nothing when the request has none.
    pub members: Vec<(&'static str, Option<Bytes>)>,
}

/// Which user message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    Last,
}

/// What an endpoint knows about its requests; every method reads the document it was made from.
pub(crate) trait View: Debug + Send + Sync {
    /// `stream`, `temperature`, `seed`: fields read the same way everywhere.
    fn stream(&self) -> Option<NodeId>;
    fn temperature(&self) -> Option<NodeId>;
    fn seed(&self) -> Option<NodeId>;
    /// Whether the client asked for usage in its stream.
    fn wants_usage(&self, document: &Document) -> bool;
    /// Fields that name an end user, in order of precedence.
    fn end_users(&self, document: &Document) -> [Option<NodeId>; 3];
    /// The text of the first or last user message that has any.
    fn user_text(&self, document: &Document, turn: Turn) -> String;
    /// The texts of the last message, if it is the user's and text alone.
    fn question(&self, document: &Document) -> Result<Vec<NodeId>, NoQuestion>;
    fn has_tools(&self, document: &Document) -> bool;
    fn has_server_tools(&self, document: &Document) -> bool;
    fn history_has_thinking(&self, document: &Document) -> bool;
    fn ends_with_tool_result(&self, document: &Document) -> bool;
    fn is_stateful(&self, document: &Document) -> bool;
    fn is_claude_code(&self, document: &Document) -> bool;
    fn needs(&self, document: &Document) -> Needs;
    fn may_think(&self, document: &Document, facts: Option<&ModelFacts>) -> bool;
    /// Why the request has no key, apart from what [`View::unknown`] and the document's flags say.
    fn no_key(&self, document: &Document, stored_responses_served: bool) -> Option<NoKey>;
    /// Members the view does not know, as (name, value).
    fn unknown(&self) -> &[(NodeId, NodeId)];
    /// Fields that affect the answer, in a fixed order.
    fn key_fields(&self) -> Vec<(&'static str, Option<NodeId>, Leave)>;
    /// Fields that hold the prompt, in a fixed order.
    fn prompt_fields(&self) -> Vec<(&'static str, Option<NodeId>, Leave)>;
    fn prompt(&self, document: &Document, order: Order) -> Prompt;
    /// Parts of the request that are answered, and keyed, one by one; most endpoints have none.
    fn items(&self, _document: &Document) -> Vec<NodeId> {
        Vec::new()
    }
    /// The field that holds the items.
    fn input(&self) -> Option<NodeId> {
        None
    }
    /// How many numbers a vector is asked to have.
    fn dimensions(&self, _document: &Document) -> Option<u64> {
        None
    }
    fn echo(&self) -> Vec<(&'static str, Option<NodeId>)>;
}

impl Opaque {
    /// Every word, for metrics that exist from the start.
    pub const WORDS: [&str; 7] = [
        "not_json",
        "not_object",
        "too_deep",
        "too_many_values",
        "no_model",
        "duplicate_field",
        "wrong_type",
    ];

    /// The closed word for headers and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotObject => "not_object",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_many_values",
            Self::NoModel => "no_model",
            Self::Duplicate(_) => "duplicate_field",
            Self::WrongType(_) => "wrong_type",
        }
    }
}

impl Request {
    /// Reads a whole body; fails when it must be forwarded without being understood.
    pub fn parse(endpoint: Endpoint, body: Bytes) -> Result<Self, Opaque> {
        let document = Document::parse(body).map_err(|error| match error {
            Error::Syntax(_) | Error::Utf8(_) => Opaque::NotJson,
            Error::TooDeep => Opaque::TooDeep,
            Error::TooLarge => Opaque::TooLarge,
        })?;
        if document.kind(document.root()) != Kind::Object {
            return Err(Opaque::NotObject);
        }
        let model = document.set_member(document.root(), "model").ok_or(Opaque::NoModel)?;
        let model_name = document.text(model).ok_or(Opaque::WrongType("model"))?.into_owned();
        let view: Box<dyn View> = match endpoint {
            Endpoint::AnthropicMessages => Box::new(messages::Messages::read(&document, false)?),
            Endpoint::AnthropicCountTokens => Box::new(messages::Messages::read(&document, true)?),
            Endpoint::OpenAiChat => Box::new(chat::Chat::read(&document)?),
            Endpoint::OpenAiResponses => Box::new(responses::Responses::read(&document)?),
            Endpoint::OpenAiEmbeddings => Box::new(embeddings::Embeddings::read(&document)?),
        };
        Ok(Self {
            endpoint,
            document,
            model,
            model_name,
            view,
        })
    }

    /// Where it was sent.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The client's bytes.
    pub fn bytes(&self) -> &Bytes {
        self.document.bytes()
    }

    /// The requested model, decoded.
    pub fn model(&self) -> &str {
        &self.model_name
    }

    /// Whether the client asked for a stream.
    pub fn wants_stream(&self) -> bool {
        let stream = self.view.stream();
        stream.is_some_and(|stream| self.document.kind(stream) == Kind::True)
    }

    /// Whether the client asked for the chunk that holds a chat stream's usage.
    pub fn wants_usage(&self) -> bool {
        self.view.wants_usage(&self.document)
    }

    /// The distinct end users the request names, the most specific field first.
    pub fn end_users(&self) -> Vec<String> {
        let mut users = Vec::new();
        for node in self.view.end_users(&self.document).into_iter().flatten() {
            match self.document.text(node) {
                Some(user) if !users.iter().any(|known| *known == user) => users.push(user.into_owned()),
                _ => {}
            }
        }
        users
    }

    /// The first user message's text blocks joined by line feeds, decoded; never tool results.
    pub fn first_user_text(&self) -> String {
        self.view.user_text(&self.document, Turn::First)
    }

    /// The last user message's text blocks joined by line feeds, decoded; never tool results.
    pub fn last_user_text(&self) -> String {
        self.view.user_text(&self.document, Turn::Last)
    }

    /// Whether the model is given any tool.
    pub fn has_tools(&self) -> bool {
        self.view.has_tools(&self.document)
    }

    /// Whether the provider itself runs one of the tools.
    pub fn has_server_tools(&self) -> bool {
        self.view.has_server_tools(&self.document)
    }

    /// Whether the conversation holds thinking that the provider may check.
    pub fn history_has_thinking(&self) -> bool {
        self.view.history_has_thinking(&self.document)
    }

    /// Whether the last turn is a tool's result.
    pub fn ends_with_tool_result(&self) -> bool {
        self.view.ends_with_tool_result(&self.document)
    }

    /// Whether the answer depends on, or changes, what the provider keeps.
    pub fn is_stateful(&self) -> bool {
        self.view.is_stateful(&self.document)
    }

    /// Whether the system prompt is Claude Code's, whose first block the provider reads by its position.
    pub fn is_claude_code(&self) -> bool {
        self.view.is_claude_code(&self.document)
    }

    /// What the request asks of a model.
    pub fn needs(&self) -> Needs {
        self.view.needs(&self.document)
    }

    /// Whether the answer can hold thinking; an unknown model may unless the request forbids it.
    pub fn may_think(&self, facts: Option<&ModelFacts>) -> bool {
        self.view.may_think(&self.document, facts)
    }

    /// The temperature as a double, when one is set.
    pub fn temperature(&self) -> Option<f64> {
        self.document.number(self.view.temperature()?)
    }

    /// Whether a seed is set.
    pub fn seed(&self) -> bool {
        let seed = self.view.seed();
        seed.is_some_and(|seed| self.document.kind(seed) != Kind::Null)
    }

    /// Why this request can have no key; nothing when it can.
    pub fn no_key(&self, dialect: Dialect, stored_responses_served: bool) -> Option<NoKey> {
        if self.document.has_duplicate_member() {
            return Some(NoKey::DuplicateMember);
        }
        if self.document.has_lone_surrogate() {
            return Some(NoKey::LoneSurrogate);
        }
        let may_add_fields = self.endpoint.provider() == Provider::OpenAi && dialect == Dialect::Compatible;
        if !may_add_fields && !self.view.unknown().is_empty() {
            return Some(NoKey::UnknownField);
        }
        self.view.no_key(&self.document, stored_responses_served)
    }

    /// Writes every answer-affecting field but model, stream and items ([`Request::write_item`]), in canonical form.
    ///
    /// No request's form is a prefix of another's: a field ends in a line feed and the whole in a zero byte, and
    /// neither can stand inside canonical JSON.
    pub fn write_key(&self, sink: &mut dyn FnMut(&[u8])) {
        gather(sink, |sink| {
            sink(b"llmcache key 1\n");
            self.write_fields(&self.view.key_fields(), Order::Sorted, sink);
            self.write_unknown(sink);
            sink(b"\0");
        });
    }

    /// Writes the prompt as the client wrote it, marks left out: equal for byte-equal prompts only.
    pub fn write_exact_prompt(&self, sink: &mut dyn FnMut(&[u8])) {
        gather(sink, |sink| {
            self.write_fields(&self.view.prompt_fields(), Order::Written, sink);
            sink(b"\0");
        });
    }

    /// Writes tools, system and messages through the first user message in canonical form: what stays the same on
    /// every turn of one conversation. Gives whether the model has spoken since.
    pub fn write_conversation(&self, sink: &mut dyn FnMut(&[u8])) -> bool {
        let prompt = self.view.prompt(&self.document, Order::Sorted);
        sink(&prompt.text[..prompt.first_user_end]);
        let is_models = |block: &Block| matches!(block.role, Role::Assistant | Role::Tool);
        let mut since = prompt
            .blocks
            .iter()
            .rev()
            .take_while(|block| block.end > prompt.first_user_end);
        since.any(is_models)
    }

    /// The prompt in rendered order.
    pub fn prompt(&self) -> Prompt {
        self.view.prompt(&self.document, Order::Written)
    }

    /// The fields that the provider's answer repeats and the key leaves out.
    pub fn echo(&self) -> Echo {
        let fields = self.view.echo().into_iter();
        let members = fields.map(|(name, node)| (name, node.map(|node| self.document.slice(node))));
        Echo {
            members: members.collect(),
        }
    }

    /// Writes the members a compatible server may know; for any other the request has no key.
    fn write_unknown(&self, sink: &mut dyn FnMut(&[u8])) {
        let mut unknown = self.view.unknown().to_vec();
        unknown.sort_by_cached_key(|(name, _)| self.document.text(*name));
        for (name, value) in unknown {
            // The quote keeps such a name apart from every known field's.
            let name = self.document.text(name).unwrap_or_default();
            sink(&quote(&name));
            sink(b"=");
            write(&self.document, value, Leave::Nothing, Order::Sorted, sink);
            sink(b"\n");
        }
    }

    fn write_fields(
        &self,
        fields: &[(&'static str, Option<NodeId>, Leave)],
        order: Order,
        sink: &mut dyn FnMut(&[u8]),
    ) {
        for (name, node, leave) in fields {
            if let Some(node) = node {
                sink(name.as_bytes());
                sink(b"=");
                write(&self.document, *node, *leave, order, sink);
                sink(b"\n");
            }
        }
    }
}
