//! OpenAI Responses.

use super::fields::{fields, given, is_true, word};
use super::{Leave, NoKey, NoQuestion, Opaque, Turn, View, openai, question, size};
use crate::json::{Document, Kind, NodeId, Order};
use crate::models::{self, ModelFacts, Needs};
use crate::prompt::{Block, Builder, Level, Prompt, Role, Site};

fields! {
    in_key {
        input: Items,
        instructions: Nothing, tools: Nothing, tool_choice: Nothing, parallel_tool_calls: Nothing,
        max_output_tokens: Nothing, max_tool_calls: Nothing, reasoning: Nothing, text: Nothing, include: Nothing,
        truncation: Nothing, temperature: Nothing, top_p: Nothing, top_logprobs: Nothing, context_management: Nothing,
        access_programs: Nothing, image: Nothing, moderation: Nothing, prompt: Nothing,
        // No key at all; here so that a gate which is lifted one day leaves the key right.
        previous_response_id: Nothing, conversation: Nothing, background: Nothing,
    }
    not_in_key {
        /// The effective model is in the key instead.
        model,
        /// One answer serves both.
        stream,
        /// Shapes the stream, which is made anew for each caller.
        stream_options,
        /// Names the end user, who is in the scope.
        user,
        /// Names the end user, who is in the scope.
        safety_identifier,
        /// Labels the request.
        metadata,
        /// Keeps a copy, with no effect on the answer.
        store,
        /// Prompt caching has no effect on the answer.
        prompt_cache_key,
        /// Prompt caching has no effect on the answer.
        prompt_cache_options,
        /// Prompt caching has no effect on the answer.
        prompt_cache_retention,
        /// How soon, not what.
        service_tier,
        /// How soon a background answer comes.
        background_options,
    }
}

/// A typed view of one request.
#[derive(Debug)]
pub(crate) struct Responses {
    fields: Fields,
}

/// Items that only the provider's own tools produce, by what their types begin with.
const SERVER_ITEMS: [&str; 11] = [
    "apply_patch_call",
    "code_interpreter_call",
    "computer_call",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "mcp_",
    "program",
    "shell_call",
    "tool_search_",
    "web_search_call",
];

impl Responses {
    pub(super) fn read(document: &Document) -> Result<Self, Opaque> {
        let fields = Fields::read(document)?;
        let is = |field: Option<NodeId>, kinds: &[Kind]| field.is_none_or(|node| kinds.contains(&document.kind(node)));
        let checks = [
            ("input", is(fields.input, &[Kind::String, Kind::Array, Kind::Null])),
            ("instructions", is(fields.instructions, &[Kind::String, Kind::Null])),
            ("tools", is(fields.tools, &[Kind::Array, Kind::Null])),
            ("stream", is(fields.stream, &[Kind::True, Kind::False, Kind::Null])),
        ];
        match checks.into_iter().find(|(_, is_right)| !is_right) {
            Some((name, _)) => Err(Opaque::WrongType(name)),
            None => Ok(Self { fields }),
        }
    }

    fn items<'a>(&self, document: &'a Document) -> impl Iterator<Item = NodeId> + 'a {
        self.fields.input.into_iter().flat_map(|list| document.elements(list))
    }

    fn tools<'a>(&self, document: &'a Document) -> impl Iterator<Item = NodeId> + 'a {
        self.fields.tools.into_iter().flat_map(|list| document.elements(list))
    }

    fn effort(&self, document: &Document) -> Option<String> {
        word(document, self.fields.reasoning, "effort")
    }

    /// A template without a version is whatever the provider holds under its id today.
    fn has_open_template(&self, document: &Document) -> bool {
        let template = given(document, self.fields.prompt);
        template.is_some_and(|template| document.set_member(template, "version").is_none())
    }

    fn is_stored(&self, document: &Document) -> bool {
        self.fields
            .store
            .is_none_or(|store| document.kind(store) != Kind::False)
    }

    fn prewarms(&self, document: &Document) -> bool {
        let options = self.fields.prompt_cache_options;
        is_true(
            document,
            options.and_then(|options| document.member(options, "prewarm")),
        )
    }

    fn compacts(&self, document: &Document) -> bool {
        let edits = given(document, self.fields.context_management);
        edits.is_some_and(|edits| document.elements(edits).next().is_some())
    }
}

/// An item's type; a message may leave it out, and so may a reference.
fn kind(document: &Document, item: NodeId) -> Option<String> {
    let named = document.set_member(item, "type").and_then(|kind| document.text(kind));
    let unnamed = match document.member(item, "role") {
        Some(_) => "message",
        None => "item_reference",
    };
    (document.kind(item) == Kind::Object).then(|| named.map_or_else(|| unnamed.to_owned(), Into::into))
}

fn role(document: &Document, item: NodeId) -> Role {
    match (kind(document, item).as_deref(), word(document, item, "role").as_deref()) {
        (Some("message"), Some("user")) => Role::User,
        (Some("message"), Some("system" | "developer")) => Role::System,
        (Some(kind), _) if kind.ends_with("_output") => Role::Tool,
        _ => Role::Assistant,
    }
}

fn item_no_key(document: &Document, item: NodeId) -> Option<NoKey> {
    match kind(document, item)?.as_str() {
        "message" => match word(document, item, "role").as_deref() {
            Some("user" | "assistant" | "system" | "developer") => {
                openai::content_no_key(document, document.member(item, "content"))
            }
            _ => Some(NoKey::UnknownBlock),
        },
        "function_call" | "custom_tool_call" | "reasoning" => None,
        "function_call_output" | "custom_tool_call_output" => {
            openai::content_no_key(document, document.member(item, "output"))
        }
        "compaction" | "compaction_trigger" => Some(NoKey::Compaction),
        "item_reference" => Some(NoKey::Stateful),
        kind if SERVER_ITEMS.iter().any(|prefix| kind.starts_with(prefix)) => Some(NoKey::HostedTool),
        _ => Some(NoKey::UnknownBlock),
    }
}

impl View for Responses {
    fn stream(&self) -> Option<NodeId> {
        self.fields.stream
    }

    fn temperature(&self) -> Option<NodeId> {
        self.fields.temperature
    }

    fn seed(&self) -> Option<NodeId> {
        None
    }

    fn wants_usage(&self, _document: &Document) -> bool {
        // Every stream carries it.
        true
    }

    fn end_users(&self, document: &Document) -> [Option<NodeId>; 3] {
        let metadata = self
            .fields
            .metadata
            .and_then(|metadata| document.set_member(metadata, "user_id"));
        [self.fields.safety_identifier, self.fields.user, metadata]
    }

    fn user_text(&self, document: &Document, turn: Turn) -> String {
        let whole = self.fields.input.and_then(|input| document.text(input));
        let mut texts = self.items(document).filter_map(|item| {
            let content = (role(document, item) == Role::User).then(|| document.member(item, "content"));
            openai::text(document, content??, "input_text")
        });
        let text = match (whole, turn) {
            (Some(text), _) => Some(text.into_owned()),
            (None, Turn::First) => texts.next(),
            (None, Turn::Last) => texts.last(),
        };
        text.unwrap_or_default()
    }

    fn question(&self, document: &Document) -> Result<Vec<NodeId>, NoQuestion> {
        if let Some(input) = self.fields.input.filter(|input| document.kind(*input) == Kind::String) {
            return Ok(vec![input]);
        }
        let is_user = |item| role(document, item) == Role::User;
        question::last(document, self.items(document), is_user, "input_text")
    }

    fn has_tools(&self, document: &Document) -> bool {
        self.tools(document).next().is_some()
    }

    fn has_server_tools(&self, document: &Document) -> bool {
        self.tools(document).any(|tool| openai::is_server_tool(document, tool))
    }

    fn history_has_thinking(&self, document: &Document) -> bool {
        self.items(document)
            .any(|item| kind(document, item).as_deref() == Some("reasoning"))
    }

    fn ends_with_tool_result(&self, document: &Document) -> bool {
        self.items(document)
            .last()
            .is_some_and(|item| role(document, item) == Role::Tool)
    }

    fn is_stateful(&self, document: &Document) -> bool {
        let Fields {
            previous_response_id,
            conversation,
            background,
            ..
        } = self.fields;
        let is_reference = |item| kind(document, item).as_deref() == Some("item_reference");
        given(document, previous_response_id).is_some()
            || given(document, conversation).is_some()
            || is_true(document, background)
            || self.has_open_template(document)
            || self.items(document).any(is_reference)
    }

    fn is_claude_code(&self, _document: &Document) -> bool {
        false
    }

    fn needs(&self, document: &Document) -> Needs {
        let prompt = [self.fields.tools, self.fields.instructions, self.fields.input];
        let defaults = [
            (self.fields.temperature, 1.0),
            (self.fields.top_p, 1.0),
            (self.fields.top_logprobs, 0.0),
        ];
        Needs {
            prompt_tokens: size::tokens(document, prompt.into_iter().flatten()),
            max_output: self.fields.max_output_tokens.and_then(|node| document.integer(node)),
            thinking: None,
            effort: self.effort(document),
            forced_tool_choice: openai::forces_a_call(document, self.fields.tool_choice),
            sampling: openai::differs(document, &defaults),
            prefill: false,
        }
    }

    fn may_think(&self, document: &Document, facts: Option<&ModelFacts>) -> bool {
        models::may_think(self.effort(document).as_deref(), facts)
    }

    fn no_key(&self, document: &Document, stored_responses_served: bool) -> Option<NoKey> {
        let gates = [
            (self.prewarms(document), NoKey::Prewarm),
            (self.is_stateful(document), NoKey::Stateful),
            (
                self.is_stored(document) && !stored_responses_served,
                NoKey::StoredResponse,
            ),
            (self.compacts(document), NoKey::Compaction),
            (self.has_server_tools(document), NoKey::HostedTool),
        ];
        let gate = gates.into_iter().find(|(is_closed, _)| *is_closed);
        gate.map(|(_, reason)| reason)
            .or_else(|| self.items(document).find_map(|item| item_no_key(document, item)))
    }

    fn unknown(&self) -> &[(NodeId, NodeId)] {
        &self.fields.unknown
    }

    fn key_fields(&self) -> Vec<(&'static str, Option<NodeId>, Leave)> {
        self.fields.in_key()
    }

    fn prompt_fields(&self) -> Vec<(&'static str, Option<NodeId>, Leave)> {
        vec![
            ("tools", self.fields.tools, Leave::Nothing),
            ("instructions", self.fields.instructions, Leave::Nothing),
            ("input", self.fields.input, Leave::Items),
        ]
    }

    fn prompt(&self, document: &Document, order: Order) -> Prompt {
        let mut builder = Builder::new(document, order);
        let block = |level, message, role| Block {
            level,
            message,
            role,
            end: 0,
            mark: None,
            site: Site::None,
        };
        if let Some(tools) = self.fields.tools {
            builder.block(tools, Leave::Nothing, block(Level::Tools, 0, Role::None));
        }
        if let Some(instructions) = self.fields.instructions {
            builder.block(instructions, Leave::Nothing, block(Level::System, 0, Role::System));
        }
        if let Some(input) = self.fields.input.filter(|input| document.kind(*input) == Kind::String) {
            builder.message();
            builder.block(input, Leave::Nothing, block(Level::Messages, 0, Role::User));
            builder.message_end(Role::User);
        }
        for (index, item) in self.items(document).enumerate() {
            let role = role(document, item);
            builder.message();
            builder.block(item, Leave::Items, block(Level::Messages, index, role));
            builder.message_end(role);
        }
        builder.finish()
    }

    fn echo(&self) -> Vec<(&'static str, Option<NodeId>)> {
        vec![
            ("metadata", self.fields.metadata),
            ("prompt_cache_key", self.fields.prompt_cache_key),
            ("prompt_cache_options", self.fields.prompt_cache_options),
            ("prompt_cache_retention", self.fields.prompt_cache_retention),
            ("safety_identifier", self.fields.safety_identifier),
            ("service_tier", self.fields.service_tier),
            ("store", self.fields.store),
            ("user", self.fields.user),
        ]
    }
}
