//! The order in which a scan has its blocks (T.81, A.2): a single component row by row; several MCU by MCU.

use super::Jpeg;

/// Calls `on_block(part of the scan, index of the block, first of its MCU)` in the scan's order.
pub(super) fn each_block<E>(
    jpeg: &Jpeg,
    components: &[usize],
    mut on_block: impl FnMut(usize, usize, bool) -> Result<(), E>,
) -> Result<(), E> {
    if let &[only] = components {
        let component = &jpeg.components[only];
        let (across, down) = component.blocks_in_picture((jpeg.width, jpeg.height), jpeg.most());
        let places = (0..down).flat_map(|row| (0..across).map(move |column| row * component.size.0 + column));
        return places.into_iter().try_for_each(|index| on_block(0, index, true));
    }
    let mcu = jpeg.mcu();
    let (across, down) = (jpeg.width.div_ceil(mcu.0) as usize, jpeg.height.div_ceil(mcu.1) as usize);
    for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
        let mut first = true;
        for (part, &component) in components.iter().enumerate() {
            let component = &jpeg.components[component];
            let (h, v) = (component.sampling.0 as usize, component.sampling.1 as usize);
            for (y, x) in (0..v).flat_map(|y| (0..h).map(move |x| (y, x))) {
                on_block(part, (row * v + y) * component.size.0 + column * h + x, first)?;
                first = false;
            }
        }
    }
    Ok(())
}
