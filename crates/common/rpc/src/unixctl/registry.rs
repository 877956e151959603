//! The commands of a program, by name.

use super::server::{Format, Reply, Request, Responder};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

type Sync<C> = Box<dyn Fn(&mut C, &[String]) -> Result<String, String>>;
type Formatted<C> = Box<dyn Fn(&mut C, &[String], Format) -> Result<Reply, String>>;
type Deferred<C> = Box<dyn Fn(&mut C, &[String], Responder)>;

enum Handler<C> {
    Sync(Sync<C>),
    Formatted(Formatted<C>),
    Deferred(Deferred<C>),
    ListCommands,
}

struct Command<C> {
    /// `None` hides the command from listings.
    usage: Option<&'static str>,
    min_arguments: usize,
    max_arguments: usize,
    handler: Handler<C>,
}

/// The commands that work on a `C`. A new registry has `list-commands`, `version` and `set-options`.
pub struct Registry<C> {
    commands: BTreeMap<&'static str, Command<C>>,
}

impl<C> std::fmt::Debug for Registry<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.commands.keys()).finish()
    }
}

impl<C: 'static> Registry<C> {
    /// `version` is what the command of that name prints.
    pub fn new(version: &str) -> Registry<C> {
        let mut registry = Registry { commands: BTreeMap::new() };
        let version = version.to_owned();
        registry.insert("list-commands", Some(""), 0, 0, Handler::ListCommands);
        registry.insert("help", None, 0, 0, Handler::ListCommands);
        registry.add("version", "", 0, 0, move |_, _| Ok(version.clone()));
        // The server answers it before it comes here; the row is for the listing.
        registry.add("set-options", "[--format text|json]", 1, 2, |_, _| Ok(String::new()));
        registry
    }

    /// Adds the `vlog/*` commands, which every daemon has.
    pub fn add_log_commands(&mut self) {
        for command in base::vlog::COMMANDS {
            let run = command.run;
            self.add(command.name, command.usage, command.min_args, command.max_args, move |_, args| {
                run(args)
            });
        }
    }

    fn insert(
        &mut self,
        name: &'static str,
        usage: Option<&'static str>,
        min: usize,
        max: usize,
        handler: Handler<C>,
    ) {
        let command = Command { usage, min_arguments: min, max_arguments: max, handler };
        self.commands.insert(name, command);
    }

    /// Adds a command that answers before it returns. `min` and `max` count the words after its name.
    pub fn add(
        &mut self,
        name: &'static str,
        usage: &'static str,
        min: usize,
        max: usize,
        handler: impl Fn(&mut C, &[String]) -> Result<String, String> + 'static,
    ) {
        self.insert(name, Some(usage), min, max, Handler::Sync(Box::new(handler)));
    }

    /// Adds a command that can answer in JSON as well as in text.
    pub fn add_formatted(
        &mut self,
        name: &'static str,
        usage: &'static str,
        min: usize,
        max: usize,
        handler: impl Fn(&mut C, &[String], Format) -> Result<Reply, String> + 'static,
    ) {
        self.insert(name, Some(usage), min, max, Handler::Formatted(Box::new(handler)));
    }

    /// The door for commands that share a `part` of their own and see nothing of the `C`.
    pub fn group<P: 'static>(&mut self, part: P) -> Group<'_, C, P> {
        Group { registry: self, part: Rc::new(part) }
    }

    /// Adds a command that is not listed.
    pub fn add_hidden(
        &mut self,
        name: &'static str,
        min: usize,
        max: usize,
        handler: impl Fn(&mut C, &[String]) -> Result<String, String> + 'static,
    ) {
        self.insert(name, None, min, max, Handler::Sync(Box::new(handler)));
    }

    /// Adds a command that answers when it wants, by its [`Responder`].
    pub fn add_deferred(
        &mut self,
        name: &'static str,
        usage: &'static str,
        min: usize,
        max: usize,
        handler: impl Fn(&mut C, &[String], Responder) + 'static,
    ) {
        self.insert(name, Some(usage), min, max, Handler::Deferred(Box::new(handler)));
    }

    /// Runs a command, or answers why it cannot be.
    pub fn dispatch(&self, context: &mut C, request: Request) {
        let Request { command: name, arguments, format, responder } = request;
        let Some(command) = self.commands.get(name.as_str()) else {
            let known = self.commands.iter().filter(|(_, command)| command.usage.is_some());
            let hint = base::hint::did_you_mean(&name, known.map(|(name, _)| *name));
            responder.reply(Err(format!(
                "\"{name}\" is not a valid command (use \"list-commands\" to see a list of valid commands){hint}"
            )));
            return;
        };
        if arguments.len() < command.min_arguments {
            let min = command.min_arguments;
            responder.reply(Err(format!("\"{name}\" command requires at least {min} arguments")));
        } else if arguments.len() > command.max_arguments {
            let max = command.max_arguments;
            responder.reply(Err(format!("\"{name}\" command takes at most {max} arguments")));
        } else {
            match &command.handler {
                Handler::Sync(handler) => responder.reply(handler(context, &arguments)),
                Handler::Deferred(handler) => handler(context, &arguments, responder),
                Handler::Formatted(handler) => {
                    responder.reply_formatted(handler(context, &arguments, format));
                }
                Handler::ListCommands => responder.reply_formatted(Ok(match format {
                    Format::Json => Reply::Json(self.list_json()),
                    Format::Text => Reply::Text(self.listing("")),
                })),
            }
        }
    }

    /// Leaves the commands whose names begin with `prefix` out of listings; who knows them can use them.
    pub fn hide(&mut self, prefix: &str) {
        let named = self.commands.iter_mut().filter(|(name, _)| name.starts_with(prefix));
        named.for_each(|(_, command)| command.usage = None);
    }

    /// The commands whose names begin with `prefix`, with their usage, as operators see them.
    pub fn listing(&self, prefix: &str) -> String {
        let mut text = "The available commands are:\n".to_owned();
        for (name, command) in &self.commands {
            if let (Some(usage), Some(rest)) = (command.usage, name.strip_prefix(prefix)) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "  {prefix}{rest:<23} {usage}");
            }
        }
        text
    }

    fn list_json(&self) -> Value {
        let mut object = Map::new();
        for (name, command) in &self.commands {
            if let Some(usage) = command.usage {
                object.insert((*name).to_owned(), usage.into());
            }
        }
        object.into()
    }
}

/// Commands that work on a `P`, on their way into a registry.
pub struct Group<'r, C, P> {
    registry: &'r mut Registry<C>,
    part: Rc<P>,
}

impl<C, P> std::fmt::Debug for Group<'_, C, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}

impl<C: 'static, P: 'static> Group<'_, C, P> {
    /// As [`Registry::add`].
    pub fn add(
        &mut self,
        name: &'static str,
        usage: &'static str,
        min: usize,
        max: usize,
        handler: impl Fn(&P, &[String]) -> Result<String, String> + 'static,
    ) {
        let part = Rc::clone(&self.part);
        self.registry.add(name, usage, min, max, move |_, args| handler(&part, args));
    }

    /// As [`Registry::add_hidden`].
    pub fn add_hidden(
        &mut self,
        name: &'static str,
        min: usize,
        max: usize,
        handler: impl Fn(&P, &[String]) -> Result<String, String> + 'static,
    ) {
        let part = Rc::clone(&self.part);
        self.registry.add_hidden(name, min, max, move |_, args| handler(&part, args));
    }

    /// As [`Registry::add_formatted`].
    pub fn add_formatted(
        &mut self,
        name: &'static str,
        usage: &'static str,
        min: usize,
        max: usize,
        handler: impl Fn(&P, &[String], Format) -> Result<Reply, String> + 'static,
    ) {
        let part = Rc::clone(&self.part);
        self.registry
            .add_formatted(name, usage, min, max, move |_, args, format| handler(&part, args, format));
    }
}
