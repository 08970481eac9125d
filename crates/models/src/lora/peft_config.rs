//! PEFT's configuration of an adapter, `adapter_config.json`: what of it we compute, and what is refused.

use super::LoraConfig;
use serde_json::{Value, json};

/// Rank and scale of every layer.
#[derive(Debug)]
pub(super) struct PeftConfig {
    lora: LoraConfig,
    /// Whether alpha is divided by the rank's square root (Kalajdzievski 2023, arXiv 2312.03732).
    is_rank_stabilised: bool,
    ranks: Pattern,
    alphas: Pattern,
}

impl PeftConfig {
    /// Reads the file's content.
    ///
    /// # Errors
    /// Settings that change what is computed, such as DoRA, each with what is supported.
    pub fn from_json(file: &Value) -> Result<Self, String> {
        check_plain(file)?;
        check_initialisation(file)?;
        let number = |name: &str| {
            let found = file.get(name).and_then(Value::as_f64);
            found.ok_or_else(|| format!("no number {name}; expected a LoRA configuration of PEFT"))
        };
        let rank = number("r")? as usize;
        if rank == 0 {
            return Err("r is 0; expected a positive rank".to_owned());
        }
        let targets = match file.get("target_modules") {
            Some(Value::String(pattern)) => vec![pattern.clone()],
            Some(Value::Array(names)) => names.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        let dropout = file.get("lora_dropout").and_then(Value::as_f64).unwrap_or(0.0);
        Ok(Self {
            lora: LoraConfig { rank, alpha: number("lora_alpha")?, targets, dropout },
            is_rank_stabilised: file.get("use_rslora").and_then(Value::as_bool).unwrap_or(false),
            ranks: Pattern::read(file, "rank_pattern")?,
            alphas: Pattern::read(file, "alpha_pattern")?,
        })
    }

    /// Of layers with a rank each, and with an alpha where that is not the rank.
    pub fn of_layers(ranks: Vec<(String, usize)>, alphas: Vec<(String, f64)>) -> Self {
        let rank = ranks.first().map_or(1, |(_, rank)| *rank);
        let alphas_of_ranks = ranks.iter().map(|(name, rank)| (whole(name), *rank as f64));
        let alphas = alphas.iter().map(|(name, alpha)| (whole(name), *alpha)).chain(alphas_of_ranks).collect();
        let targets = ranks.iter().map(|(name, _)| name.clone()).collect();
        Self {
            lora: LoraConfig { rank, alpha: rank as f64, targets, dropout: 0.0 },
            is_rank_stabilised: false,
            ranks: Pattern(ranks.iter().map(|(name, rank)| (whole(name), *rank as f64)).collect()),
            alphas: Pattern(alphas),
        }
    }

    /// The rank of a layer.
    pub fn rank(&self, layer: &str) -> usize {
        self.ranks.of(layer).map_or(self.lora.rank, |rank| rank as usize)
    }

    /// What a layer's delta is multiplied by.
    pub fn scale(&self, layer: &str) -> f64 {
        self.alphas.of(layer).unwrap_or(self.lora.alpha) / self.divisor(self.rank(layer))
    }

    /// The same for the layers without a rank or alpha of their own, as `alpha / rank`.
    pub fn plain(&self) -> LoraConfig {
        let root = if self.is_rank_stabilised { (self.lora.rank as f64).sqrt() } else { 1.0 };
        LoraConfig { alpha: self.lora.alpha * root, ..self.lora.clone() }
    }

    fn divisor(&self, rank: usize) -> f64 {
        let rank = rank as f64;
        if self.is_rank_stabilised { rank.sqrt() } else { rank }
    }
}

/// Settings that change what an adapter computes, and the value that we compute; `null` and empty lists are as good.
fn plain() -> [(&'static str, Value); 15] {
    [
        ("peft_type", json!("LORA")),
        ("bias", json!("none")),
        ("lora_bias", json!(false)),
        ("use_dora", json!(false)),
        ("use_qalora", json!(false)),
        ("fan_in_fan_out", json!(false)),
        ("modules_to_save", Value::Null),
        ("trainable_token_indices", Value::Null),
        ("target_parameters", Value::Null),
        ("layer_replication", Value::Null),
        ("alora_invocation_tokens", Value::Null),
        ("monteclora_config", Value::Null),
        ("arrow_config", Value::Null),
        ("kasa_config", Value::Null),
        ("use_bdlora", Value::Null),
    ]
}

fn check_plain(file: &Value) -> Result<(), String> {
    let is_nothing = |value: &Value| {
        value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(|o| o.is_empty())
    };
    for (name, computed) in plain() {
        match file.get(name) {
            Some(found) if *found != computed && !is_nothing(found) => {
                return Err(format!("{name} is {found}; only {computed} is supported"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Most initialisations start from factors whose delta is nothing; PiSSA, OLoRA, LoftQ, CorDA and others take what the factors
/// start with out of the base weights, and no file tells of that.
fn check_initialisation(file: &Value) -> Result<(), String> {
    const KEEPING: [&str; 3] = ["gaussian", "eva", "orthogonal"];
    match file.get("init_lora_weights") {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(Value::String(name)) if KEEPING.contains(&name.to_lowercase().as_str()) => Ok(()),
        Some(found) => Err(format!(
            "init_lora_weights is {found}, which changes the base's weights too; true, false, {} are supported: have PEFT \
             convert it (save_pretrained with path_initial_model_for_weight_conversion)",
            KEEPING.join(", ")
        )),
    }
}

/// Numbers of single layers, by names or ends of names, as PEFT's `rank_pattern` and `alpha_pattern`; the first that fits
/// counts. With `^` before it a name is a whole one.
#[derive(Debug)]
struct Pattern(Vec<(String, f64)>);

impl Pattern {
    fn read(file: &Value, field: &str) -> Result<Self, String> {
        let Some(entries) = file.get(field).and_then(Value::as_object) else { return Ok(Self(Vec::new())) };
        let entry = |(name, number): (&String, &Value)| match number.as_f64() {
            Some(number) if number > 0.0 && is_name(name) => Ok((name.clone(), number)),
            _ => Err(format!(
                "{field} has \"{name}\": {number}; only names of layers, each with a positive number, are supported, and \
                 no regular expressions"
            )),
        };
        Ok(Self(entries.iter().map(entry).collect::<Result<_, _>>()?))
    }

    fn of(&self, layer: &str) -> Option<f64> {
        let layer = bare(layer);
        let fits = |name: &str| match name.strip_prefix('^') {
            Some(name) => bare(name) == layer,
            None => bare(name) == layer || layer.strip_suffix(name).is_some_and(|head| head.ends_with('.')),
        };
        self.0.iter().find(|(name, _)| fits(name)).map(|(_, number)| *number)
    }
}

/// CLIP's layers carry `text_model.` in transformers before 5, and in the checkpoints from then.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("text_model.").unwrap_or(name)
}

/// The name, for a [`Pattern`] to take as a whole one.
fn whole(name: &str) -> String {
    format!("^{name}")
}

/// Whether a key of a pattern means itself as a regular expression; a dot is one in any case.
fn is_name(key: &str) -> bool {
    let name = key.strip_prefix('^').unwrap_or(key);
    name.chars().all(|c| c.is_alphanumeric() || ['_', '.', '-'].contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: Value) -> Result<PeftConfig, String> {
        let mut file = json!({ "peft_type": "LORA", "r": 4, "lora_alpha": 8 });
        for (name, value) in change.as_object().expect("an object") {
            file[name] = value.clone();
        }
        PeftConfig::from_json(&file)
    }

    #[test]
    fn initialisations_that_change_the_base_are_refused() {
        for kept in [json!(true), json!(false), Value::Null, json!("gaussian"), json!("eva"), json!("orthogonal")] {
            assert!(config(json!({ "init_lora_weights": kept })).is_ok(), "{kept}");
        }
        for changing in ["pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga", "mica"] {
            let error = config(json!({ "init_lora_weights": changing })).unwrap_err();
            assert!(error.contains(changing) && error.contains("gaussian, eva, orthogonal"), "{error}");
        }
    }

    #[test]
    fn settings_that_change_the_computation_are_refused() {
        for (name, value) in [
            ("use_qalora", json!(true)),
            ("alora_invocation_tokens", json!([1, 2])),
            ("layer_replication", json!([[0, 4], [2, 5]])),
            ("target_parameters", json!(["weight"])),
            ("kasa_config", json!({ "beta": 1 })),
        ] {
            let error = config(json!({ name: value })).unwrap_err();
            assert!(error.contains(&format!("{name} is {value}; only ")), "{error}");
        }
        assert!(config(json!({ "target_parameters": [], "modules_to_save": [], "layer_replication": null })).is_ok());
    }

    #[test]
    fn a_rank_stabilised_adapter_is_scaled_by_the_root() {
        let config = config(json!({ "use_rslora": true, "alpha_pattern": { "to_v": 2 } })).unwrap();
        assert_eq!((config.scale("mid.to_q"), config.scale("mid.to_v")), (4.0, 1.0));
        assert_eq!((config.plain().rank, config.plain().alpha), (4, 16.0));
    }

    #[test]
    fn layers_may_have_ranks_and_alphas_of_their_own() {
        let ranks = json!({ "attn1.to_q": 2, "^encoder.layers.0.q_proj": 16, "to_q": 1, "a.to_q": 7 });
        let config = config(json!({ "rank_pattern": ranks, "alpha_pattern": { "mid.attn1.to_q": 3 } })).unwrap();
        assert_eq!((config.rank("mid.attn1.to_q"), config.scale("mid.attn1.to_q")), (2, 1.5));
        assert_eq!((config.rank("mid.attn2.to_q"), config.scale("mid.attn2.to_q")), (1, 8.0));
        assert_eq!(config.rank("x.a.to_q"), 1, "the first that fits, and not the first by name");
        assert_eq!((config.rank("mid.not_to_q"), config.scale("mid.not_to_q")), (4, 2.0));
        assert_eq!(config.rank("text_model.encoder.layers.0.q_proj"), 16);
    }

    #[test]
    fn patterns_that_are_no_names_are_refused() {
        for (field, name, number) in [
            ("alpha_pattern", ".*to_q", json!(3)),
            ("rank_pattern", "to_(q|k)", json!(3)),
            ("rank_pattern", "to_q", json!(0)),
        ] {
            let error = config(json!({ field: { name: number } })).unwrap_err();
            assert!(error.contains(field) && error.contains(name), "{error}");
        }
    }
}
