//! Requests as people write them.

use super::{CanvasError, CanvasRequest, Extent};

const SIDES: [&str; 4] = ["left", "top", "right", "bottom"];

impl CanvasRequest {
    /// Reads `left=20%,top=300px`: any of the four sides, in percent of the photo's width or height or in pixels.
    ///
    /// # Errors
    /// An unknown or repeated side, no number, a negative one, or nothing at all.
    pub fn expand(text: &str) -> Result<Self, CanvasError> {
        let mut extents = [Extent::Nothing; 4];
        for part in text.split(',') {
            let (side, value) = part.split_once('=').ok_or_else(|| no_expansion(part))?;
            let index = SIDES.iter().position(|name| *name == side.trim()).ok_or_else(|| no_expansion(part))?;
            if extents[index] != Extent::Nothing {
                return Err(no_expansion(text));
            }
            extents[index] = extent(side.trim(), value.trim()).unwrap_or_else(|| Err(no_expansion(part)))?;
        }
        let [left, top, right, bottom] = extents;
        Ok(Self::Expand { left, top, right, bottom })
    }

    /// Reads `16:9`: width to height.
    ///
    /// # Errors
    /// Anything but two whole numbers from 1 to 10000.
    pub fn aspect(text: &str) -> Result<Self, CanvasError> {
        let wrong = || CanvasError::Unreadable {
            found: text.into(),
            what: "a shape (width:height, whole numbers from 1 to 10000)",
            example: "16:9",
        };
        let (across, down) = text.split_once(':').ok_or_else(wrong)?;
        let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=10_000).contains(side)).ok_or_else(wrong);
        Ok(Self::Aspect(side(across)?, side(down)?))
    }

    /// Reads `3000x2000+400+0`: the frame's width and height, then where the photo's upper left corner lies in it.
    ///
    /// # Errors
    /// Anything else, or a side of 0.
    pub fn canvas(text: &str) -> Result<Self, CanvasError> {
        let wrong = || CanvasError::Unreadable {
            found: text.into(),
            what: "a canvas (WIDTHxHEIGHT+X+Y, with the photo's upper left corner at X, Y)",
            example: "3000x2000+400+0",
        };
        let (width, rest) = text.split_once('x').ok_or_else(wrong)?;
        let signs: Vec<usize> = rest.char_indices().filter(|(_, c)| "+-".contains(*c)).map(|(i, _)| i).collect();
        let &[first, second] = signs.as_slice() else { return Err(wrong()) };
        let side = |text: &str| text.parse().ok().filter(|side| *side > 0).ok_or_else(wrong);
        let place = |text: &str| text.parse::<i32>().map(i64::from).map_err(|_| wrong());
        Ok(Self::Canvas {
            width: side(width)?,
            height: side(&rest[..first])?,
            x: place(&rest[first..second])?,
            y: place(&rest[second..])?,
        })
    }
}

fn no_expansion(found: &str) -> CanvasError {
    CanvasError::Unreadable {
        found: found.trim().into(),
        what: "an expansion (left, top, right, bottom, each once, in % of the photo or in pixels)",
        example: "left=20%,top=300px",
    }
}

/// `None` when it is no number.
fn extent(side: &str, text: &str) -> Option<Result<Extent, CanvasError>> {
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text.strip_suffix("px").unwrap_or(text), false),
    };
    let value: f64 = number.trim().parse().ok().filter(|value: &f64| value.is_finite())?;
    Some(match percent {
        _ if value < 0.0 => Err(CanvasError::Negative { side: side.into(), found: text.into() }),
        _ if value == 0.0 => Ok(Extent::Nothing),
        true => Ok(Extent::Percent(value.min(1e6))),
        false => Ok(Extent::Pixels(value.round().min(1e9) as u32)),
    })
}
