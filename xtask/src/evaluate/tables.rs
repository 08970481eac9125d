//! The results as Markdown.

use super::Row;
use realfill_vision::metrics::Scores;
use std::fmt::Write;

/// Scores by scene, and their mean over the scenes with a truth, each scene counted once.
pub fn scores(rows: &[Row]) -> String {
    let mut text =
        String::from("| scene | hole PSNR | hole SSIM | seam PSNR | max change outside | supported | seconds |\n");
    text += "| --- | --- | --- | --- | --- | --- | --- |\n";
    rows.iter().for_each(|row| text += &line(row));
    let counted: Vec<&Scores> = rows.iter().filter(|r| is_counted(r)).filter_map(|r| r.scores.as_ref()).collect();
    let mean = |value: fn(&Scores) -> f64| mean(counted.iter().map(|s| value(s)));
    let (psnr, ssim, seam) = (mean(|s| s.hole_psnr), mean(|s| s.hole_ssim), mean(|s| s.seam_psnr));
    let _ = writeln!(text, "| mean of {} | {psnr:.2} | {ssim:.3} | {seam:.2} | | | |", counted.len());
    text
}

/// One scene's line.
pub fn line(row: &Row) -> String {
    let figures = match &row.scores {
        Some(s) => format!("{:.2} | {:.3} | {:.2}", s.hole_psnr, s.hole_ssim, s.seam_psnr),
        None => "- | - | -".into(),
    };
    let Row { name, max_change_outside, supported, secs, .. } = row;
    format!("| {name} | {figures} | {max_change_outside} | {:.0} % | {secs:.0} |\n", 100.0 * supported)
}

/// What the ranking gains: hole PSNR of the chosen candidate beside the candidates' mean and best.
pub fn candidates(rows: &[Row]) -> String {
    let mut text = String::from("| scene | chosen | mean of candidates | best |\n| --- | --- | --- | --- |\n");
    let judged = rows.iter().filter(|row| row.candidates.len() > 1 && row.scores.is_some());
    let (mut better, mut gains) = (0, Vec::new());
    for row in judged {
        let psnr: Vec<f64> = row.candidates.iter().filter_map(|c| c.1).collect();
        let (chosen, mean, best) = (psnr[0], mean(psnr.iter().copied()), psnr.iter().copied().fold(f64::MIN, f64::max));
        let _ = writeln!(text, "| {} | {chosen:.2} | {mean:.2} | {best:.2} |", row.name);
        if is_counted(row) {
            better += usize::from(chosen > mean);
            gains.push(chosen - mean);
        }
    }
    let _ = writeln!(text, "\nchosen over mean: {better} of {}, {:+.3} dB", gains.len(), mean(gains.iter().copied()));
    text
}

/// A scene that is another's at full resolution is not counted twice.
pub fn is_counted(row: &Row) -> bool {
    !row.name.ends_with("-fullres")
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use realfill::pipeline::Judgement;

    fn row(name: &str, psnr: f64, candidates: &[f64]) -> Row {
        Row {
            name: name.into(),
            scores: Some(Scores { hole_psnr: psnr, hole_ssim: 0.5, seam_psnr: 20.0, max_change_outside: 0 }),
            max_change_outside: 0,
            supported: 0.5,
            secs: 1.0,
            candidates: candidates.iter().map(|&psnr| (Judgement::default(), Some(psnr))).collect(),
        }
    }

    #[test]
    fn the_mean_counts_each_scene_once() {
        let rows = [row("a", 10.0, &[]), row("b", 20.0, &[]), row("b-fullres", 90.0, &[])];
        assert!(scores(&rows).contains("| mean of 2 | 15.00 |"), "{}", scores(&rows));
    }

    #[test]
    fn the_gain_is_the_chosen_one_over_the_mean() {
        let table = candidates(&[row("a", 12.0, &[12.0, 11.0, 10.0]), row("b", 9.0, &[9.0, 10.0])]);
        assert!(table.contains("| a | 12.00 | 11.00 | 12.00 |"), "{table}");
        assert!(table.contains("chosen over mean: 1 of 2, +0.250 dB"), "{table}");
    }
}
