//! OpenAI Chat Completions, and the many servers that speak it.

use super::fields::{fields, given, is_true, word};
use super::{Leave, NoKey, NoQuestion, Opaque, Turn, View, openai, question, size};
use crate::json::{Document, Kind, NodeId, Order};
use crate::models::{self, ModelFacts, Needs};
use crate::prompt::{Block, Builder, Level, Prompt, Role, Site};

fields! {
    in_key {
        messages: ChatMessages,
        tools: Nothing, tool_choice: Nothing, functions: Nothing, function_call: Nothing, parallel_tool_calls: Nothing,
        response_format: Nothing, max_tokens: Nothing, max_completion_tokens: Nothing, stop: Nothing, n: Nothing,
        seed: Nothing, temperature: Nothing, top_p: Nothing, frequency_penalty: Nothing, presence_penalty: Nothing,
        logit_bias: Nothing, logprobs: Nothing, top_logprobs: Nothing, reasoning_effort: Nothing, verbosity: Nothing,
        modalities: Nothing, audio: Nothing, web_search_options: Nothing, moderation: Nothing,
        // Only speed, but the answer's usage counts its tokens.
        prediction: Nothing,
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
    }
}

/// A typed view of one request.
#[derive(Debug)]
pub(crate) struct Chat {
    fields: Fields,
}

impl Chat {
    pub(super) fn read(document: &Document) -> Result<Self, Opaque> {
        let fields = Fields::read(document)?;
        let is = |field: Option<NodeId>, kinds: &[Kind]| field.is_none_or(|node| kinds.contains(&document.kind(node)));
        let checks = [
            (
                "messages",
                fields.messages.is_some() && is(fields.messages, &[Kind::Array]),
            ),
            ("tools", is(fields.tools, &[Kind::Array, Kind::Null])),
            ("functions", is(fields.functions, &[Kind::Array, Kind::Null])),
            ("stream", is(fields.stream, &[Kind::True, Kind::False, Kind::Null])),
        ];
        match checks.into_iter().find(|(_, is_right)| !is_right) {
            Some((name, _)) => Err(Opaque::WrongType(name)),
            None => Ok(Self { fields }),
        }
    }

    fn messages<'a>(&self, document: &'a Document) -> impl Iterator<Item = NodeId> + 'a {
        self.fields
            .messages
            .into_iter()
            .flat_map(|list| document.elements(list))
    }

    fn tools<'a>(&self, document: &'a Document) -> impl Iterator<Item = NodeId> + 'a {
        self.fields.tools.into_iter().flat_map(|list| document.elements(list))
    }

    fn functions<'a>(&self, document: &'a Document) -> impl Iterator<Item = NodeId> + 'a {
        self.fields
            .functions
            .into_iter()
            .flat_map(|list| document.elements(list))
    }

    fn effort(&self, document: &Document) -> Option<String> {
        document.text(self.fields.reasoning_effort?).map(Into::into)
    }

    /// Search models search on every call, without any field that says so.
    fn searches(&self, document: &Document) -> bool {
        let model = self.fields.model.and_then(|model| document.text(model));
        given(document, self.fields.web_search_options).is_some()
            || model.is_some_and(|model| model.contains("-search-"))
    }

    fn samples(&self, document: &Document) -> bool {
        let Fields {
            temperature,
            top_p,
            frequency_penalty,
            presence_penalty,
            ..
        } = self.fields;
        let Fields {
            logit_bias, logprobs, ..
        } = self.fields;
        let defaults = [
            (temperature, 1.0),
            (top_p, 1.0),
            (frequency_penalty, 0.0),
            (presence_penalty, 0.0),
        ];
        openai::differs(document, &defaults) || given(document, logit_bias).is_some() || is_true(document, logprobs)
    }
}

fn role(document: &Document, message: NodeId) -> Option<Role> {
    match word(document, message, "role").as_deref() {
        Some("system" | "developer") => Some(Role::System),
        Some("user") => Some(Role::User),
        Some("assistant") => Some(Role::Assistant),
        Some("tool" | "function") => Some(Role::Tool),
        _ => None,
    }
}

impl View for Chat {
    fn stream(&self) -> Option<NodeId> {
        self.fields.stream
    }

    fn temperature(&self) -> Option<NodeId> {
        self.fields.temperature
    }

    fn seed(&self) -> Option<NodeId> {
        self.fields.seed
    }

    fn wants_usage(&self, document: &Document) -> bool {
        let options = self.fields.stream_options;
        is_true(
            document,
            options.and_then(|options| document.member(options, "include_usage")),
        )
    }

    fn end_users(&self, document: &Document) -> [Option<NodeId>; 3] {
        let metadata = self
            .fields
            .metadata
            .and_then(|metadata| document.set_member(metadata, "user_id"));
        [self.fields.safety_identifier, self.fields.user, metadata]
    }

    fn user_text(&self, document: &Document, turn: Turn) -> String {
        let mut texts = self.messages(document).filter_map(|message| {
            let content = (role(document, message) == Some(Role::User)).then(|| document.member(message, "content"));
            openai::text(document, content??, "text")
        });
        let text = match turn {
            Turn::First => texts.next(),
            Turn::Last => texts.last(),
        };
        text.unwrap_or_default()
    }

    fn question(&self, document: &Document) -> Result<Vec<NodeId>, NoQuestion> {
        let is_user = |message| role(document, message) == Some(Role::User);
        question::last(document, self.messages(document), is_user, "text")
    }

    fn has_tools(&self, document: &Document) -> bool {
        self.tools(document).chain(self.functions(document)).next().is_some() || self.searches(document)
    }

    fn has_server_tools(&self, document: &Document) -> bool {
        self.tools(document).any(|tool| openai::is_server_tool(document, tool)) || self.searches(document)
    }

    fn history_has_thinking(&self, document: &Document) -> bool {
        // OpenAI has no such member; compatible servers do.
        let names = ["reasoning", "reasoning_content", "thinking_blocks"];
        let thinks = |message| names.iter().any(|name| document.set_member(message, name).is_some());
        self.messages(document).any(thinks)
    }

    fn ends_with_tool_result(&self, document: &Document) -> bool {
        self.messages(document)
            .last()
            .is_some_and(|message| role(document, message) == Some(Role::Tool))
    }

    fn is_stateful(&self, document: &Document) -> bool {
        // Spoken answers are kept by the provider for an hour and referred to by id.
        let speaks = |message| document.set_member(message, "audio").is_some();
        given(document, self.fields.audio).is_some() || self.messages(document).any(speaks)
    }

    fn is_claude_code(&self, _document: &Document) -> bool {
        false
    }

    fn needs(&self, document: &Document) -> Needs {
        let prompt = [self.fields.tools, self.fields.functions, self.fields.messages];
        let bound = self.fields.max_completion_tokens.or(self.fields.max_tokens);
        Needs {
            prompt_tokens: size::tokens(document, prompt.into_iter().flatten()),
            max_output: bound.and_then(|node| document.integer(node)),
            thinking: None,
            effort: self.effort(document),
            forced_tool_choice: openai::forces_a_call(document, self.fields.tool_choice),
            sampling: self.samples(document),
            prefill: false,
        }
    }

    fn may_think(&self, document: &Document, facts: Option<&ModelFacts>) -> bool {
        models::may_think(self.effort(document).as_deref(), facts)
    }

    fn no_key(&self, document: &Document, _stored_responses_served: bool) -> Option<NoKey> {
        if self.is_stateful(document) {
            return Some(NoKey::Stateful);
        }
        if self.has_server_tools(document) {
            return Some(NoKey::HostedTool);
        }
        self.messages(document)
            .find_map(|message| match role(document, message) {
                Some(_) => openai::content_no_key(document, document.member(message, "content")),
                None => Some(NoKey::UnknownBlock),
            })
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
            ("functions", self.fields.functions, Leave::Nothing),
            ("messages", self.fields.messages, Leave::ChatMessages),
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
        for (index, list) in [self.fields.tools, self.fields.functions]
            .into_iter()
            .flatten()
            .enumerate()
        {
            builder.block(list, Leave::Nothing, block(Level::Tools, index, Role::None));
        }
        for (index, message) in self.messages(document).enumerate() {
            let role = role(document, message).unwrap_or(Role::None);
            builder.message();
            builder.block(message, Leave::ChatMessages, block(Level::Messages, index, role));
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
