//! Holes that lie far from each other, so that each can be seen as closely as it would be alone.

use image::math::Rect;
use realfill_vision::composite::common;

/// The windows of groups of holes: holes share one where theirs would overlap. `holes` are rectangles that hold some each, `window` the one
/// around a rectangle. `None` where a group has none of its own.
pub(super) fn windows_apart(
    holes: impl IntoIterator<Item = Rect>,
    window: impl Fn(Rect) -> Option<Rect>,
) -> Option<Vec<Rect>> {
    let mut groups: Vec<Group> = Vec::new();
    for hole in holes {
        let mut group = Group { holes: hole, window: window(hole)? };
        while let Some(near) = groups.iter().position(|other| common(other.window, group.window).is_some()) {
            let holes = around_both(groups.remove(near).holes, group.holes);
            group = Group { holes, window: window(holes)? };
        }
        groups.push(group);
    }
    Some(groups.into_iter().map(|group| group.window).collect())
}

/// Some holes in one rectangle, and the window around it.
struct Group {
    holes: Rect,
    window: Rect,
}

fn around_both(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let right = (a.x + a.width).max(b.x + b.width);
    let bottom = (a.y + a.height).max(b.y + b.height);
    Rect { x, y, width: right - x, height: bottom - y }
}

#[cfg(test)]
mod tests {
    use super::*;
    use realfill_vision::composite::grown;

    const PHOTO: (u32, u32) = (1000, 400);

    fn square(x: u32, y: u32) -> Rect {
        Rect { x, y, width: 20, height: 20 }
    }

    /// The windows reach as far around holes as these are wide; wider ones than 400 px are not worth it.
    fn windows(holes: &[Rect]) -> Option<Vec<(u32, u32, u32, u32)>> {
        let window = |holes: Rect| Some(grown(holes, holes.width, PHOTO)).filter(|window| window.width <= 400);
        let found = windows_apart(holes.iter().copied(), window)?;
        Some(found.into_iter().map(|rect| (rect.x, rect.y, rect.width, rect.height)).collect())
    }

    #[test]
    fn holes_whose_windows_overlap_share_one() {
        let far = [square(100, 100), square(800, 300)];
        assert_eq!(windows(&far).unwrap(), [(80, 80, 60, 60), (780, 280, 60, 60)]);
        let touching = [square(100, 100), square(160, 100)];
        assert_eq!(windows(&touching).unwrap(), [(80, 80, 60, 60), (140, 80, 60, 60)]);
        let near = [square(100, 100), square(140, 100)];
        assert_eq!(windows(&near).unwrap(), [(40, 40, 180, 140)]);
    }

    #[test]
    fn a_shared_window_takes_in_what_it_reaches() {
        let chain = [square(300, 100), square(800, 300), square(100, 100), square(130, 100)];
        assert_eq!(windows(&chain).unwrap(), [(280, 80, 60, 60), (780, 280, 60, 60), (50, 50, 150, 120)]);
        let reached = [square(200, 100), square(100, 100), square(130, 100)];
        assert_eq!(windows(&reached), Some(vec![(0, 0, 340, 240)]));
    }

    #[test]
    fn where_a_group_is_too_wide_for_a_window_there_are_none() {
        assert_eq!(windows(&[square(800, 300), Rect { x: 50, y: 50, width: 200, height: 20 }]), None);
        assert_eq!(windows(&[]), Some(Vec::new()));
    }
}
