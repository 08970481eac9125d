//! The tokens of a tokenizer that stand for themselves, gathered from the files that transformers gathers them from.

use crate::ModelError;
use crate::json::read_json_if_any;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::{AddedToken, Tokenizer};

/// What the files call the special tokens, and CLIP's own.
const SPECIAL: [(&str, &str); 4] = [
    ("bos_token", "<|startoftext|>"),
    ("eos_token", "<|endoftext|>"),
    ("unk_token", "<|endoftext|>"),
    ("pad_token", "<|endoftext|>"),
];

/// The special tokens, and those beside the vocabulary.
#[derive(Debug)]
pub(super) struct SpecialTokens {
    /// Before every prompt.
    pub start: AddedToken,
    /// After every prompt.
    pub end: AddedToken,
    /// In place of what the vocabulary lacks.
    pub unknown: AddedToken,
    /// After the end, up to the length of all prompts.
    pub pad: AddedToken,
    added: BTreeMap<u32, AddedToken>,
}

impl SpecialTokens {
    /// Reads them from `tokenizer_config.json`, which is given, and from `special_tokens_map.json` and `added_tokens.json`.
    ///
    /// As in transformers these two count only where the first one has no `added_tokens_decoder`, and the map then wins over
    /// it: the published Stable Diffusion 2 says in the one that it pads with `<|endoftext|>`, and in the other with `!`.
    ///
    /// # Errors
    /// Unreadable files, or lists of added tokens in another form.
    pub fn read(folder: &Path, config: &Value) -> Result<Self, ModelError> {
        let decoder = config.get("added_tokens_decoder");
        let older = |name: &str| match decoder {
            Some(_) => Ok(Value::Null),
            None => read_json_if_any(&folder.join(name)),
        };
        let map = older("special_tokens_map.json")?;
        let special = SPECIAL.map(|(field, usual)| {
            let found = [&map, config].into_iter().find_map(|file| token(file.get(field)?));
            found.unwrap_or_else(|| AddedToken::from(usual, true))
        });
        let ids = older("added_tokens.json")?;
        let added = decoder.map_or_else(|| by_name(&ids, &special), by_id);
        let added = added.ok_or_else(|| {
            ModelError::file(folder, "added_tokens_decoder or added_tokens.json is not a list of tokens and their ids")
        })?;
        let [start, end, unknown, pad] = special;
        Ok(Self { start, end, unknown, pad, added })
    }

    /// Adds them to a tokenizer, which then finds them whole in prompts: where it pads with `!`, a `!` of a prompt is that
    /// token too.
    ///
    /// # Errors
    /// A special token that the vocabulary lacks, or an added one that has another id in it than in its file.
    pub fn add_to(&self, tokenizer: &mut Tokenizer) -> Result<(), String> {
        tokenizer.add_tokens(self.added.values().cloned()).map_err(|e| e.to_string())?;
        for (&id, AddedToken { content, .. }) in &self.added {
            if let Some(found) = tokenizer.token_to_id(content).filter(|&found| found != id) {
                return Err(format!("the added token {content} has the id {id}, but {found} in the vocabulary"));
            }
        }
        let special = [&self.start, &self.end, &self.unknown, &self.pad];
        let absent = |token: &AddedToken| tokenizer.token_to_id(&token.content).is_none();
        if let Some(place) = special.iter().position(|&token| absent(token)) {
            return Err(format!("{} {} is not in the vocabulary", SPECIAL[place].0, special[place].content));
        }
        let added = tokenizer.get_added_tokens_decoder();
        let is_added = |token: &AddedToken| added.values().any(|added| added.content == token.content);
        let rest: Vec<AddedToken> = special.into_iter().filter(|&token| !is_added(token)).cloned().collect();
        tokenizer.add_special_tokens(rest).map_err(|e| e.to_string())?;
        Ok(())
    }
}

/// A token, written as text or as an object with `content`.
fn token(value: &Value) -> Option<AddedToken> {
    let content = value.as_str().or_else(|| value.get("content")?.as_str())?;
    let flag = |name: &str, usual: bool| value.get(name).and_then(Value::as_bool).unwrap_or(usual);
    let token = AddedToken::from(content, flag("special", true)).single_word(flag("single_word", false));
    Some(token.lstrip(flag("lstrip", false)).rstrip(flag("rstrip", false)).normalized(flag("normalized", false)))
}

/// `added_tokens_decoder`: ids to tokens.
fn by_id(tokens: &Value) -> Option<BTreeMap<u32, AddedToken>> {
    tokens.as_object()?.iter().map(|(id, value)| Some((id.parse::<u32>().ok()?, token(value)?))).collect()
}

/// `added_tokens.json`: tokens to ids; `null` where there is no such file.
fn by_name(ids: &Value, special: &[AddedToken]) -> Option<BTreeMap<u32, AddedToken>> {
    if ids.is_null() {
        return Some(BTreeMap::new());
    }
    let added = |(name, id): (&String, &Value)| {
        let is_special = special.iter().any(|token| token.content == *name);
        Some((u32::try_from(id.as_u64()?).ok()?, AddedToken::from(name.as_str(), is_special)))
    };
    ids.as_object()?.iter().map(added).collect()
}
