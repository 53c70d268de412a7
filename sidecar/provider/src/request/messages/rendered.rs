//! The prompt of a Messages request: tools, then system, then messages, each cut at its blocks.

use super::{Messages, blocks};
use crate::json::{Document, Kind, NodeId, Order};
use crate::prompt::{Block, Builder, Level, Prompt, Role, Site};
use crate::request::fields::given;
use crate::request::{Leave, View};

impl Messages {
    pub(super) fn render(&self, document: &Document, order: Order) -> Prompt {
        let mut builder = Builder::new(document, order);
        let mark = given(document, self.fields.cache_control);
        builder.top_level_mark(mark.map(|mark| blocks::ttl(document, mark)));
        for (index, tool) in self.tools(document).enumerate() {
            let block = block(Level::Tools, index, Role::None);
            push(
                document,
                &mut builder,
                tool,
                Leave::Tools,
                Block {
                    site: blocks::tool_site(document, tool),
                    ..block
                },
            );
        }
        self.render_system(document, &mut builder);
        for (index, message) in self.messages(document).enumerate() {
            render_message(document, &mut builder, index, message);
        }
        builder.finish()
    }

    fn render_system(&self, document: &Document, builder: &mut Builder<'_>) {
        let Some(system) = given(document, self.fields.system) else {
            return;
        };
        if document.kind(system) == Kind::String {
            // The provider finds Claude Code's first block by its place, so that string must stay a string.
            let site = match blocks::string_site(document, system) {
                Site::String(_) if self.is_claude_code(document) => Site::None,
                site => site,
            };
            builder.block(
                system,
                Leave::Nothing,
                Block {
                    site,
                    ..block(Level::System, 0, Role::System)
                },
            );
        }
        // Its words change from turn to turn, yet the provider caches what follows: it never reads them.
        let attribution = self.attribution(document);
        let blocks = document.elements(system).enumerate();
        for (index, node) in blocks.filter(|(_, node)| Some(*node) != attribution) {
            push_content(document, builder, node, block(Level::System, index, Role::System));
        }
    }
}

fn render_message(document: &Document, builder: &mut Builder<'_>, index: usize, message: NodeId) {
    let name = document.member(message, "role").and_then(|role| document.text(role));
    let role = match name.as_deref() {
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => Role::User,
    };
    let block = block(Level::Messages, index, role);
    builder.message();
    match document.member(message, "content") {
        Some(content) if document.kind(content) == Kind::Array => {
            for node in document.elements(content) {
                push_content(document, builder, node, block);
            }
        }
        Some(content) => {
            let site = blocks::string_site(document, content);
            builder.block(content, Leave::Nothing, Block { site, ..block });
        }
        None => {}
    }
    builder.message_end(role);
}

fn push_content(document: &Document, builder: &mut Builder<'_>, node: NodeId, block: Block) {
    let site = blocks::block_site(document, node);
    push(document, builder, node, Leave::Blocks, Block { site, ..block });
}

fn push(document: &Document, builder: &mut Builder<'_>, node: NodeId, leave: Leave, block: Block) {
    let own = blocks::mark(document, node);
    let is_content = leave == Leave::Blocks;
    let nested = if is_content {
        blocks::nested_marks(document, node)
    } else {
        Vec::new()
    };
    builder.client_marks(usize::from(own.is_some()) + nested.len());
    // A mark inside a block ends a prefix within it; its end is the nearest place that is known here.
    let mark = own.or_else(|| nested.last().copied());
    match blocks::plain_text(document, node).filter(|_| is_content) {
        Some(text) => builder.block(text, Leave::Nothing, Block { mark, ..block }),
        None => builder.block(node, leave, Block { mark, ..block }),
    }
}

fn block(level: Level, message: usize, role: Role) -> Block {
    Block {
        level,
        message,
        role,
        end: 0,
        mark: None,
        site: Site::None,
    }
}
