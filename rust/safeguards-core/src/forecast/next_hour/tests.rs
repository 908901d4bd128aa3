#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "what must be equal is equal to the bit")]

use super::*;

const DAY_AND_WEEK: [usize; 2] = [24, 168];

fn forecaster(series: usize) -> NextHour {
    NextHour::new(series, &DAY_AND_WEEK).unwrap()
}

/// After a single series' steps.
fn after(steps: impl Iterator<Item = f64>) -> NextHour {
    let mut forecaster = forecaster(1);
    steps.for_each(|demand| forecaster.observe(&[demand], None).unwrap());
    forecaster
}

/// Repeatable numbers between 0 and 1.
fn noise(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    })
}

/// High from 8 to 20 o'clock, except at weekends.
fn office_hours(hour: usize) -> f64 {
    if (8..20).contains(&(hour % 24)) && hour / 24 % 7 < 5 { 100.0 } else { 10.0 }
}

#[test]
fn nothing_known_is_nan() {
    let mut forecaster = forecaster(2);
    forecaster.observe(&[7.0, f64::NAN], None).unwrap();
    let forecast = forecaster.forecast();
    assert_eq!(forecast[0], 7.0);
    assert!(forecast[1].is_nan());
    assert!(forecaster.quantile(0.9).unwrap()[1].is_nan());
    assert!(forecaster.confidence(1.2).unwrap()[0].is_nan(), "no forecast was compared yet");
}

#[test]
fn a_constant_is_forecast_exactly_and_surely() {
    let forecaster = after(std::iter::repeat_n(0.3, 400));
    let forecast = forecaster.forecast()[0];
    assert!((forecast - 0.3).abs() < 1e-6, "{forecast}");
    for probability in [0.0, 0.5, 0.99, 1.0] {
        let quantile = forecaster.quantile(probability).unwrap()[0];
        assert!((quantile - 0.3).abs() < 1e-4, "{probability}: {quantile}");
    }
    assert_eq!(forecaster.confidence(1.01).unwrap(), [1.0]);
    assert_eq!(forecaster.confidence(0.9).unwrap(), [0.0]);
}

#[test]
fn nothing_but_zeros_is_forecast_as_zero() {
    let forecaster = after(std::iter::repeat_n(0.0, 50));
    assert_eq!(forecaster.forecast(), [0.0]);
    assert_eq!(forecaster.quantile(0.99).unwrap(), [0.0]);
}

#[test]
fn it_sees_the_day_coming() {
    let morning = 21 * 24 + 8;
    let forecast = after((0..morning).map(office_hours)).forecast()[0];
    assert!(forecast > 85.0, "the last value is 10, and the office opens: {forecast}");
}

#[test]
fn it_knows_the_weekend() {
    let saturday = (4 * 7 + 5) * 24 + 8;
    let forecast = after((0..saturday).map(office_hours)).forecast()[0];
    assert!(forecast < 30.0, "no office on Saturday: {forecast}");
}

#[test]
fn a_jump_is_followed_at_once() {
    let forecast = after((0..300).map(|hour| if hour < 290 { 10.0 } else { 100.0 })).forecast()[0];
    assert!((80.0..120.0).contains(&forecast), "{forecast}");
}

#[test]
fn what_a_series_will_stay_within_is_calibrated() {
    let demand: Vec<f64> = noise(1).take(2000).map(|x| 10.0 + 90.0 * x * x).collect();
    for probability in [0.5, 0.8, 0.9, 0.95] {
        let expected =
            forecaster(1).replay(1, 2000, &demand, Outlook::Quantile(probability), &Stop::default()).unwrap();
        let within = demand.iter().zip(&expected).skip(200).filter(|(d, q)| d <= q).count();
        let share = within as f64 / 1800.0;
        assert!((share - probability).abs() < 0.025, "{probability}: {share}");
    }
}

#[test]
fn confidence_is_the_inverse_of_the_quantile() {
    let forecaster = after(noise(3).take(500).map(|x| 10.0 + 90.0 * x));
    let forecast = forecaster.forecast()[0];
    for within in [0.7, 1.0, 1.3] {
        let confidence = forecaster.confidence(within).unwrap()[0];
        let back = forecaster.quantile(confidence).unwrap()[0] / forecast;
        assert!((back - within).abs() < 0.03, "{within} -> {confidence} -> {back}");
    }
}

#[test]
fn replay_is_the_same_as_step_by_step() {
    let demand: Vec<f64> =
        noise(5).take(3 * 200).map(|x| if x < 0.1 { f64::NAN } else { 50.0 * x }).collect();
    let replayed = forecaster(3).replay(3, 200, &demand, Outlook::Forecast, &Stop::default()).unwrap();
    let mut stepped = forecaster(3);
    for t in 0..200 {
        for (s, forecast) in stepped.forecast().into_iter().enumerate() {
            assert_eq!(forecast.to_bits(), replayed[s * 200 + t].to_bits(), "series {s}, step {t}");
        }
        stepped.observe(&[demand[t], demand[200 + t], demand[400 + t]], None).unwrap();
    }
}

#[test]
fn an_unknown_step_teaches_nothing_but_time_goes_on() {
    let gap = 500..524;
    let demand = |hour: usize| if gap.contains(&hour) { f64::NAN } else { office_hours(hour) };
    let forecaster = after((0..25 * 24 + 8).map(demand));
    assert!(forecaster.forecast()[0] > 80.0, "{:?}", forecaster.forecast());
    let before = after([4.0].into_iter()).forecast();
    assert_eq!(after([4.0, f64::NAN, f64::NAN].into_iter()).forecast(), before);
}

#[test]
fn a_demand_that_was_cut_off_is_taken_for_more() {
    let steps: Vec<f64> = noise(7).take(400).map(|x| 50.0 + 100.0 * x).collect();
    let ends = |at_least: bool| {
        let mut forecaster = after(steps.iter().copied());
        let cut = forecaster.forecast()[0];
        forecaster.observe(&[cut], Some(&[at_least])).unwrap();
        (cut, forecaster)
    };
    let (cut, told) = ends(true);
    let (_, untold) = ends(false);
    assert!(told.forecast()[0] > untold.forecast()[0]);
    let likely = told.latest()[0];
    assert!(likely > 1.1 * cut && likely < 150.0, "the mean of what lies above {cut}, not {likely}");
    let (sure, unsure) = (told.confidence(1.0).unwrap()[0], untold.confidence(1.0).unwrap()[0]);
    assert!(sure < unsure, "it lay above the forecast: {sure} < {unsure}");
}

#[test]
fn what_was_cut_off_time_and_again_is_not_taken_for_ever_more() {
    let mut forecaster = after(std::iter::repeat_n(100.0, 50));
    for _ in 0..200 {
        let limit = forecaster.forecast()[0];
        forecaster.observe(&[limit.min(300.0)], Some(&[limit < 300.0])).unwrap();
    }
    let forecast = forecaster.forecast()[0];
    assert!((240.0..420.0).contains(&forecast), "demand of 300 is found, and kept to: {forecast}");
}

#[test]
fn a_young_series_borrows_from_the_others() {
    let series = 20;
    let mut forecaster = forecaster(series);
    let mut draws = noise(9);
    for _ in 0..200 {
        let row: Vec<f64> = draws.by_ref().take(series).map(|x| 10.0 + 90.0 * x).collect();
        forecaster.observe(&row, None).unwrap();
    }
    forecaster.extend(1);
    let mut row = vec![50.0; series + 1];
    forecaster.observe(&row, None).unwrap();
    row[series] = 5.0;
    forecaster.observe(&row, None).unwrap();
    let spread = forecaster.quantile(0.9).unwrap()[series] / forecaster.forecast()[series];
    assert!(spread > 1.3, "two steps are no reason to be sure: {spread}");
}

#[test]
fn series_leave_and_the_others_do_not_notice() {
    let run = |leaves: bool| {
        let mut forecaster = NextHour::new(3, &[]).unwrap();
        for t in 0..30 {
            let hour = f64::from(t);
            if leaves && t == 0 {
                forecaster.retain(&[true, false, true]).unwrap();
            }
            let row = [hour, f64::NAN, 2.0 * hour];
            let row = if leaves { vec![row[0], row[2]] } else { row.to_vec() };
            forecaster.observe(&row, None).unwrap();
        }
        forecaster.forecast()
    };
    let (all, kept) = (run(false), run(true));
    assert_eq!([all[0], all[2]], [kept[0], kept[1]]);
}

#[test]
fn memory_is_as_promised() {
    assert!(forecaster(1).bytes_per_series() <= 4096, "{}", forecaster(1).bytes_per_series());
}

#[test]
fn extremes_stay_finite() {
    let wild = [0.0, 1e30, 0.0, 1e-300, f64::NAN, 1e30, 5e-324, 0.0, 1e30];
    let mut forecaster = forecaster(1);
    for t in 0..2000 {
        forecaster.observe(&[wild[t % wild.len()]], Some(&[t % 4 == 3])).unwrap();
        let [forecast, quantile] = [forecaster.forecast()[0], forecaster.quantile(1.0).unwrap()[0]];
        assert!(forecast >= 0.0 && forecast.is_finite(), "step {t}: {forecast}");
        assert!(quantile >= 0.0 && quantile.is_finite(), "step {t}: {quantile}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    for seasons in [vec![1], vec![24, 24], vec![2, 3, 4], vec![MAX_SEASON + 1]] {
        assert_eq!(NextHour::new(1, &seasons).err(), Some(NextHourError::Seasons(seasons)));
    }
    let mut forecaster = after([1.0, 2.0].into_iter());
    let before = forecaster.forecast();
    let refused = |result: Result<(), NextHourError>| result.unwrap_err().to_string();
    assert_eq!(
        refused(forecaster.observe(&[1.0, 2.0], None)),
        "demand must have one value for each of the 1 series, not 2"
    );
    assert_eq!(
        refused(forecaster.observe(&[-1.0], None)),
        "demand must be from 0 to 1e30, or NaN where it is unknown: series 0 has -1"
    );
    assert!(forecaster.observe(&[1.0], Some(&[])).is_err());
    assert!(forecaster.observe(&[f64::INFINITY], None).is_err());
    assert!(forecaster.replay(1, 2, &[1.0, -1.0], Outlook::Forecast, &Stop::default()).is_err());
    assert!(forecaster.replay(1, 1, &[1.0], Outlook::Quantile(1.1), &Stop::default()).is_err());
    assert!(forecaster.quantile(f64::NAN).is_err());
    assert!(forecaster.confidence(0.0).is_err());
    assert!(forecaster.retain(&[]).is_err());
    assert_eq!(forecaster.forecast(), before);
}
