//! Tokenizer folders in the forms that are published, against what transformers makes of the prompts.

use crate::golden::{Expected, folder};
use realfill_models::sd::{ClipConfig, ClipTokenizer};
use serde_json::{Value, json};
use std::path::Path;

/// The prompts of `goldens/generate.py`; the third one has a `!`.
const PROMPTS: [&str; 3] = ["a photo of sks", "", "A  PHOTO of 3 cats' tails, it's élan!"];

/// A folder as the published Stable Diffusion 2 has it: `vocab.json` and `merges.txt`, and a pad token in the tokenizer's
/// configuration that is not the one in the map.
fn published() -> tempfile::TempDir {
    let text = std::fs::read_to_string(folder("sd2").join("tokenizer/tokenizer.json")).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    let pairs = whole["model"]["merges"].as_array().unwrap().iter();
    let merges: Vec<String> =
        pairs.map(|pair| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())).collect();
    let place = tempfile::tempdir().unwrap();
    write(place.path(), "vocab.json", &whole["model"]["vocab"]);
    std::fs::write(place.path().join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n"))).unwrap();
    let marks = json!({ "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>" });
    let with = |field: &str, value: Value| {
        let mut file = marks.clone();
        file[field] = value;
        file
    };
    let mut config = with("pad_token", json!("<|endoftext|>"));
    config["model_max_length"] = json!(24);
    write(place.path(), "tokenizer_config.json", &config);
    write(place.path(), "special_tokens_map.json", &with("pad_token", json!("!")));
    place
}

fn write(folder: &Path, name: &str, value: &Value) {
    std::fs::write(folder.join(name), value.to_string()).unwrap();
}

/// A configuration of an encoder that knows so many tokens.
fn encoder(tokens: usize) -> ClipConfig {
    let config = ClipConfig::read(&folder("sd2").join("text_encoder/config.json")).unwrap();
    ClipConfig { vocab_size: tokens, ..config }
}

fn ids(place: &Path) -> Vec<f32> {
    let tokenizer = ClipTokenizer::read(place, &encoder(600)).unwrap();
    PROMPTS.iter().flat_map(|prompt| tokenizer.encode(prompt).unwrap()).map(|id| id as f32).collect()
}

/// What transformers makes of the prompts where it pads with `!`.
fn expected() -> Vec<f32> {
    Expected::read("sd2").values("ids")[..PROMPTS.len() * 24].to_vec()
}

#[test]
fn the_map_of_special_tokens_wins_over_the_configuration() {
    let place = published();
    assert_eq!(ids(place.path()), expected());
    let map = json!({ "pad_token": { "content": "!", "lstrip": false, "normalized": false, "rstrip": false } });
    write(place.path(), "special_tokens_map.json", &map);
    assert_eq!(ids(place.path()), expected());
    std::fs::remove_file(place.path().join("special_tokens_map.json")).unwrap();
    assert_ne!(ids(place.path()), expected(), "padded with the end");
}

#[test]
fn a_folder_without_a_configuration_is_read() {
    let place = published();
    std::fs::remove_file(place.path().join("tokenizer_config.json")).unwrap();
    assert_eq!(ids(place.path()), expected());
}

#[test]
fn a_configuration_that_lists_its_tokens_wins_over_the_map() {
    let place = published();
    let mut config = json!({ "pad_token": "!", "model_max_length": 24 });
    let token = |content: &str| {
        json!({
            "content": content, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false,
            "special": true
        })
    };
    config["added_tokens_decoder"] =
        json!({ "0": token("!"), "522": token("<|startoftext|>"), "523": token("<|endoftext|>") });
    write(place.path(), "tokenizer_config.json", &config);
    write(place.path(), "special_tokens_map.json", &json!({ "pad_token": "<|endoftext|>" }));
    assert_eq!(ids(place.path()), expected());
}

#[test]
fn added_tokens_are_found_whole_and_have_the_ids_of_their_file() {
    let place = published();
    write(place.path(), "added_tokens.json", &json!({ "<house-2>": 525, "<house>": 524 }));
    let tokenizer = ClipTokenizer::read(place.path(), &encoder(526)).unwrap();
    let ids = tokenizer.encode("of <house><house-2> of").unwrap();
    let of = tokenizer.encode("of").unwrap()[1];
    assert_eq!(ids[..6], [522, of, 524, 525, of, 523]);

    let refused = |tokens: &Value, known| {
        write(place.path(), "added_tokens.json", tokens);
        ClipTokenizer::read(place.path(), &encoder(known)).unwrap_err().to_string()
    };
    let error = refused(&json!({ "<house>": 530 }), 600);
    assert!(error.contains("the added token <house> has the id 530, but 524 in the vocabulary"), "{error}");
    let error = refused(&json!({ "<house>": 524 }), 524);
    assert!(error.contains("token id 524, but the text encoder knows only 524"), "{error}");
    let error = refused(&json!(["<house>"]), 600);
    assert!(error.contains("added_tokens.json is not a list of tokens and their ids"), "{error}");
}
