//! The acceptance as one story on one node: install, opt in, change, break, look, leave. Steps build on each other, so
//! that they are one test; each says what it saw and how long it took.

use std::time::Instant;

mod away;
mod bans;
mod change;
mod dashboards;
mod explain;
mod inject;
pub(crate) mod install;
mod leave;
mod paraphrases;
mod pods;
pub(crate) mod stage;

use stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_team_installs_opts_in_changes_breaks_and_leaves() -> anyhow::Result<()> {
    let Some(stage) = Stage::set().await? else {
        return Ok(());
    };
    macro_rules! play {
        ($($step:path),+ $(,)?) => {$(
            let start = Instant::now();
            let saw = $step(&stage).await.map_err(|error| error.context(stringify!($step)))?;
            println!("{:<44} {:>6.1} s  {saw}", stringify!($step), start.elapsed().as_secs_f64());
        )+};
    }
    play![
        install::helm_install,
        install::helm_test,
        explain::an_uninjected_pod_is_told_how,
        inject::annotating_a_running_deployment_rolls_it,
        explain::a_pod_without_a_policy_is_told_how,
        inject::applying_the_policy_programs_both_pods,
        inject::the_unchanged_program_hits,
        explain::a_base_url_in_code_is_told,
        change::a_keyword_reaches_every_pod_without_a_restart,
        change::a_ttl_reaches_every_pod_without_a_restart,
        change::the_api_server_refuses_with_field_and_fix,
        change::a_refused_generation_leaves_the_accepted_one_serving,
        bans::an_invalidation_kills_one_users_answers_everywhere,
        bans::a_changed_config_map_runs_its_ban_once,
        bans::a_neighbours_login_reads_nothing,
        paraphrases::a_paraphrase_is_served_after_evidence,
        pods::a_restricted_pod_runs,
        pods::a_job_completes,
        pods::a_killed_sidecar_comes_back,
        pods::the_command_line_shows_what_there_is,
        dashboards::every_query_returns_data_and_the_sum_is_the_ledgers,
        away::pods_serve_without_the_operator,
        away::a_pod_made_meanwhile_is_reported,
        away::a_sidecar_without_anything_passes_through_and_converges,
        inject::removing_the_annotation_removes_the_sidecar,
        leave::upgrading_fails_no_request,
        leave::uninstalling_leaves_the_apps_serving,
    ];
    Ok(())
}
