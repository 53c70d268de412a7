//! Anthropic Messages (and `count_tokens`, whose body is a subset).

mod blocks;
mod rendered;

use super::fields::{fields, given, word};
use super::{Leave, NoKey, NoQuestion, Opaque, Turn, View, question, size};
use crate::json::{Document, Kind, NodeId, Order};
use crate::models::{self, ModelFacts, Needs};
use crate::prompt::Prompt;

use blocks::Tool;

fields! {
    in_key {
        tools: KeyTools, system: Blocks, messages: Messages,
        tool_choice: Nothing, max_tokens: Nothing, stop_sequences: Nothing, thinking: Nothing, output_config: Nothing,
        output_format: Nothing, temperature: Nothing, top_p: Nothing, top_k: Nothing, container: Nothing,
        context_management: Nothing, mcp_servers: Nothing, fallbacks: Nothing, inference_geo: Nothing,
        // The same weights, but the answer's usage repeats it.
        speed: Nothing,
        // No key at all; here so that a gate which is lifted one day leaves the key right.
        fallback_credit_token: Nothing, compaction: Nothing, thread: Nothing,
    }
    not_in_key {
        /// The effective model is in the key instead.
        model,
        /// One answer serves both.
        stream,
        /// A mark has no effect on the answer.
        cache_control,
        /// Names the end user, who is in the scope.
        metadata,
        /// How soon, not what.
        service_tier,
        /// Asks for a report on the prompt cache.
        diagnostics,
        /// Who pays.
        billing_policy,
        /// Who asks; the credential in the scope decides whom that may be.
        user_profile_id,
    }
}

/// A typed view of one request.
#[derive(Debug)]
pub(crate) struct Messages {
    fields: Fields,
    is_count: bool,
}

/// What Claude Code's attribution begins with. The provider takes a first system block like that out of the prompt.
const ATTRIBUTION: &str = "x-anthropic-billing-header";
/// What Claude Code's system prompt begins with, after the attribution.
const CLAUDE_CODE: &str = "You are Claude Code";

impl Messages {
    pub(super) fn read(document: &Document, is_count: bool) -> Result<Self, Opaque> {
        let fields = Fields::read(document)?;
        let is = |field: Option<NodeId>, kinds: &[Kind]| field.is_none_or(|node| kinds.contains(&document.kind(node)));
        let checks = [
            (
                "messages",
                fields.messages.is_some() && is(fields.messages, &[Kind::Array]),
            ),
            ("system", is(fields.system, &[Kind::String, Kind::Array, Kind::Null])),
            ("tools", is(fields.tools, &[Kind::Array, Kind::Null])),
            ("max_tokens", is(fields.max_tokens, &[Kind::Number])),
            ("stream", is(fields.stream, &[Kind::True, Kind::False, Kind::Null])),
        ];
        match checks.into_iter().find(|(_, is_right)| !is_right) {
            Some((name, _)) => Err(Opaque::WrongType(name)),
            None => Ok(Self { fields, is_count }),
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

    /// The content blocks of every message; string contents have none.
    fn blocks<'a>(&self, document: &'a Document) -> impl Iterator<Item = NodeId> + 'a {
        let content = |message| document.member(message, "content");
        self.messages(document)
            .filter_map(content)
            .flat_map(|content| document.elements(content))
    }

    /// The first system block when it is Claude Code's attribution.
    fn attribution(&self, document: &Document) -> Option<NodeId> {
        let first = document.elements(self.fields.system?).next()?;
        let text = document.text(document.member(first, "text")?)?;
        text.starts_with(ATTRIBUTION).then_some(first)
    }

    fn forces_a_call(&self, document: &Document) -> bool {
        let choice = word(document, self.fields.tool_choice, "type");
        matches!(choice.as_deref(), Some("any" | "tool"))
    }

    fn samples(&self, document: &Document) -> bool {
        let differs = |field| given(document, field).is_some_and(|node| document.number(node) != Some(1.0));
        let Fields {
            temperature,
            top_p,
            top_k,
            ..
        } = self.fields;
        differs(temperature) || differs(top_p) || given(document, top_k).is_some()
    }

    fn is_prefilled(&self, document: &Document) -> bool {
        let last = self.messages(document).last();
        let role = last.and_then(|message| document.member(message, "role"));
        role.is_some_and(|role| document.is_text(role, "assistant"))
    }
}

impl View for Messages {
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
        let metadata = self.fields.metadata;
        [
            None,
            None,
            metadata.and_then(|metadata| document.set_member(metadata, "user_id")),
        ]
    }

    fn user_text(&self, document: &Document, turn: Turn) -> String {
        let mut texts = self.messages(document).filter_map(|message| {
            let is_user = document.is_text(document.member(message, "role")?, "user");
            let content = is_user.then(|| document.member(message, "content"))??;
            blocks::text(document, content)
        });
        let text = match turn {
            Turn::First => texts.next(),
            Turn::Last => texts.last(),
        };
        text.unwrap_or_default()
    }

    fn question(&self, document: &Document) -> Result<Vec<NodeId>, NoQuestion> {
        if self.is_count {
            return Err(NoQuestion::Endpoint);
        }
        let is_user = |message| word(document, message, "role").as_deref() == Some("user");
        question::last(document, self.messages(document), is_user, "text")
    }

    fn has_tools(&self, document: &Document) -> bool {
        let servers = self.fields.mcp_servers;
        self.tools(document).next().is_some()
            || servers.is_some_and(|servers| document.elements(servers).next().is_some())
    }

    fn has_server_tools(&self, document: &Document) -> bool {
        let servers = self.fields.mcp_servers;
        self.tools(document)
            .any(|tool| blocks::tool(document, tool) != Tool::Client)
            || servers.is_some_and(|servers| document.elements(servers).next().is_some())
    }

    fn history_has_thinking(&self, document: &Document) -> bool {
        self.blocks(document).any(|block| blocks::is_thinking(document, block))
    }

    fn ends_with_tool_result(&self, document: &Document) -> bool {
        let is_system = |message: &NodeId| {
            document
                .member(*message, "role")
                .is_some_and(|role| document.is_text(role, "system"))
        };
        let last = self.messages(document).filter(|message| !is_system(message)).last();
        let content = last.and_then(|message| document.member(message, "content"));
        content.is_some_and(|content| {
            document
                .elements(content)
                .any(|block| blocks::is_type(document, block, "tool_result"))
        })
    }

    fn is_stateful(&self, document: &Document) -> bool {
        let Fields { container, thread, .. } = self.fields;
        given(document, container).or_else(|| given(document, thread)).is_some()
    }

    fn is_claude_code(&self, document: &Document) -> bool {
        let Some(system) = self.fields.system else {
            return false;
        };
        let begins = |node| {
            let text = document.text(node);
            text.is_some_and(|text| text.starts_with(ATTRIBUTION) || text.starts_with(CLAUDE_CODE))
        };
        let texts = document
            .elements(system)
            .take(2)
            .filter_map(|block| document.member(block, "text"));
        begins(system) || texts.into_iter().any(begins)
    }

    fn needs(&self, document: &Document) -> Needs {
        let prompt = [self.fields.tools, self.fields.system, self.fields.messages];
        Needs {
            prompt_tokens: size::tokens(document, prompt.into_iter().flatten()),
            max_output: self.fields.max_tokens.and_then(|node| document.integer(node)),
            thinking: word(document, self.fields.thinking, "type"),
            effort: word(document, self.fields.output_config, "effort"),
            forced_tool_choice: self.forces_a_call(document),
            sampling: self.samples(document),
            prefill: self.is_prefilled(document),
        }
    }

    fn may_think(&self, document: &Document, facts: Option<&ModelFacts>) -> bool {
        let asked = word(document, self.fields.thinking, "type");
        models::may_think(asked.as_deref(), facts)
    }

    fn no_key(&self, document: &Document, _stored_responses_served: bool) -> Option<NoKey> {
        let is_set = |field| given(document, field).is_some();
        let prewarms = self
            .fields
            .max_tokens
            .is_some_and(|node| document.number(node) == Some(0.0));
        let gates = [
            (self.is_count, NoKey::CountTokens),
            (prewarms, NoKey::Prewarm),
            (self.is_stateful(document), NoKey::Stateful),
            (is_set(self.fields.fallback_credit_token), NoKey::FallbackToken),
            (is_set(self.fields.compaction), NoKey::Compaction),
            (self.has_server_tools(document), NoKey::HostedTool),
        ];
        let gate = gates.into_iter().find(|(is_closed, _)| *is_closed);
        gate.map(|(_, reason)| reason).or_else(|| {
            let system = self
                .fields
                .system
                .into_iter()
                .flat_map(|system| document.elements(system));
            let mut content = system.filter_map(|block| blocks::no_key(document, block));
            content.next().or_else(|| {
                self.messages(document)
                    .find_map(|message| blocks::message_no_key(document, message))
            })
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
            ("tools", self.fields.tools, Leave::Tools),
            ("system", self.fields.system, Leave::Blocks),
            ("messages", self.fields.messages, Leave::Messages),
        ]
    }

    fn prompt(&self, document: &Document, order: Order) -> Prompt {
        self.render(document, order)
    }

    fn echo(&self) -> Vec<(&'static str, Option<NodeId>)> {
        Vec::new()
    }
}
