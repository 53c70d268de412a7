//! OpenAI Embeddings: a model and items, each of which is answered by one vector and has a key of its own.

use super::fields::{fields, given};
use super::{Leave, NoKey, NoQuestion, Opaque, Turn, View, size};
use crate::json::{Document, Kind, NodeId, Order};
use crate::models::{ModelFacts, Needs};
use crate::prompt::{Block, Builder, Level, Prompt, Role, Site};

fields! {
    in_key {
        dimensions: Nothing,
        // How the provider prints a number is its own affair, so no form is made from another: each has its entry.
        encoding_format: Nothing,
    }
    not_in_key {
        /// The effective model is in the key instead.
        model,
        /// Each of its items is in a key of its own.
        input,
        /// Names the end user, who is in the scope.
        user,
    }
}

/// Most items the provider takes in one request.
const MAX_ITEMS: usize = 2_048;

/// A typed view of one request.
#[derive(Debug)]
pub(crate) struct Embeddings {
    fields: Fields,
}

impl Embeddings {
    pub(super) fn read(document: &Document) -> Result<Self, Opaque> {
        let fields = Fields::read(document)?;
        let kind = fields.input.map(|input| document.kind(input));
        match kind {
            Some(Kind::String | Kind::Array) => Ok(Self { fields }),
            _ => Err(Opaque::WrongType("input")),
        }
    }
}

/// Token numbers, at least one.
fn is_tokens(document: &Document, node: NodeId) -> bool {
    let mut numbers = document.elements(node).peekable();
    numbers.peek().is_some() && numbers.all(|number| document.kind(number) == Kind::Number)
}

impl View for Embeddings {
    fn stream(&self) -> Option<NodeId> {
        None
    }

    fn temperature(&self) -> Option<NodeId> {
        None
    }

    fn seed(&self) -> Option<NodeId> {
        None
    }

    fn wants_usage(&self, _document: &Document) -> bool {
        false
    }

    fn end_users(&self, _document: &Document) -> [Option<NodeId>; 3] {
        [self.fields.user, None, None]
    }

    fn user_text(&self, _document: &Document, _turn: Turn) -> String {
        String::new()
    }

    fn question(&self, _document: &Document) -> Result<Vec<NodeId>, NoQuestion> {
        Err(NoQuestion::Endpoint)
    }

    fn has_tools(&self, _document: &Document) -> bool {
        false
    }

    fn has_server_tools(&self, _document: &Document) -> bool {
        false
    }

    fn history_has_thinking(&self, _document: &Document) -> bool {
        false
    }

    fn ends_with_tool_result(&self, _document: &Document) -> bool {
        false
    }

    fn is_stateful(&self, _document: &Document) -> bool {
        false
    }

    fn is_claude_code(&self, _document: &Document) -> bool {
        false
    }

    fn needs(&self, document: &Document) -> Needs {
        Needs {
            prompt_tokens: size::tokens(document, self.fields.input),
            ..Needs::default()
        }
    }

    fn may_think(&self, _document: &Document, _facts: Option<&ModelFacts>) -> bool {
        false
    }

    fn no_key(&self, document: &Document, _stored_responses_served: bool) -> Option<NoKey> {
        let items = self.items(document);
        let is_known = |item: &NodeId| document.kind(*item) == Kind::String || is_tokens(document, *item);
        // What a server adds as a list or an object may say something of each item by its place.
        let may_be_by_place =
            |(_, value): &(NodeId, NodeId)| matches!(document.kind(*value), Kind::Array | Kind::Object);
        match items.len() {
            count if count > 1 && self.fields.unknown.iter().any(may_be_by_place) => Some(NoKey::UnknownField),
            0 => Some(NoKey::UnknownBlock),
            count if count > MAX_ITEMS => Some(NoKey::TooManyItems),
            _ => (!items.iter().all(is_known)).then_some(NoKey::UnknownBlock),
        }
    }

    fn unknown(&self) -> &[(NodeId, NodeId)] {
        &self.fields.unknown
    }

    fn key_fields(&self) -> Vec<(&'static str, Option<NodeId>, Leave)> {
        self.fields.in_key()
    }

    fn prompt_fields(&self) -> Vec<(&'static str, Option<NodeId>, Leave)> {
        vec![("input", self.fields.input, Leave::Nothing)]
    }

    fn prompt(&self, document: &Document, order: Order) -> Prompt {
        let mut builder = Builder::new(document, order);
        builder.message();
        let block = Block {
            level: Level::Messages,
            message: 0,
            role: Role::User,
            end: 0,
            mark: None,
            site: Site::None,
        };
        if let Some(input) = self.fields.input {
            builder.block(input, Leave::Nothing, block);
        }
        builder.message_end(Role::User);
        builder.finish()
    }

    fn items(&self, document: &Document) -> Vec<NodeId> {
        let Some(input) = given(document, self.fields.input) else {
            return Vec::new();
        };
        // A list of numbers is one text in tokens; a list of anything else holds one item each.
        let is_one = document.kind(input) == Kind::String || is_tokens(document, input);
        if is_one {
            vec![input]
        } else {
            document.elements(input).collect()
        }
    }

    fn input(&self) -> Option<NodeId> {
        self.fields.input
    }

    fn dimensions(&self, document: &Document) -> Option<u64> {
        document.integer(self.fields.dimensions?)
    }

    fn echo(&self) -> Vec<(&'static str, Option<NodeId>)> {
        Vec::new()
    }
}
