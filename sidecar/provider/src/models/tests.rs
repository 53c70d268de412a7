use super::*;

fn anthropic(model: &str) -> &'static ModelFacts {
    facts(Provider::Anthropic, model).unwrap()
}

#[test]
fn the_table_is_read_and_names_are_unique() {
    let rows: Vec<ModelFacts> = serde_json::from_str(include_str!("../../data/models.json")).unwrap();
    assert_eq!(rows, all());
    let names = rows.iter().map(|row| 1 + row.aliases.len()).sum::<usize>();
    assert_eq!(names, BY_NAME.len());
    for row in &rows {
        assert!(row.max_input <= row.context_window, "{}", row.id);
        assert!(row.max_output <= row.context_window, "{}", row.id);
    }
}

#[test]
fn a_model_is_found_by_listed_names_only() {
    let dated = anthropic("claude-haiku-4-5");
    assert_eq!(dated.id, "claude-haiku-4-5-20251001");
    assert!(facts(Provider::Anthropic, "claude-haiku-4-5-20990101").is_none());
    assert!(facts(Provider::Anthropic, "claude-haiku-5-5-20990101").is_none());
    assert!(facts(Provider::OpenAi, "claude-haiku-5-5").is_none());
    assert_eq!(facts(Provider::OpenAi, "gpt-5.6").unwrap().id, "gpt-5.6-sol");
}

#[test]
fn a_plain_request_fits_every_model() {
    for row in all() {
        let needs = Needs {
            prompt_tokens: 1_000,
            max_output: Some(4_096),
            ..Needs::default()
        };
        assert_eq!(fits(&needs, row), Ok(()), "{}", row.id);
    }
}

#[test]
fn each_refusal_is_named() {
    let haiku = anthropic("claude-haiku-4-5");
    let opus = anthropic("claude-opus-5-5");
    let refused = |facts, change: fn(&mut Needs)| {
        let mut needs = Needs {
            prompt_tokens: 100,
            max_output: Some(100),
            ..Needs::default()
        };
        change(&mut needs);
        fits(&needs, facts).unwrap_err().word()
    };
    assert_eq!(refused(haiku, |needs| needs.prompt_tokens = 200_001), "context_window");
    assert_eq!(refused(haiku, |needs| needs.prompt_tokens = 199_901), "context_window");
    assert_eq!(refused(haiku, |needs| needs.max_output = Some(64_001)), "max_output");
    assert_eq!(
        refused(haiku, |needs| needs.thinking = Some("adaptive".into())),
        "thinking"
    );
    assert_eq!(
        refused(opus, |needs| needs.thinking = Some("disabled".into())),
        "thinking"
    );
    assert_eq!(refused(haiku, |needs| needs.effort = Some("low".into())), "effort");
    assert_eq!(
        refused(opus, |needs| needs.forced_tool_choice = true),
        "forced_tool_choice"
    );
    assert_eq!(refused(opus, |needs| needs.sampling = true), "sampling");
    assert_eq!(refused(opus, |needs| needs.prefill = true), "prefill");
}

#[test]
fn sampling_on_reasoning_models_needs_effort_none() {
    let needs = |effort: Option<&str>| Needs {
        sampling: true,
        effort: effort.map(Into::into),
        ..Needs::default()
    };
    let gpt = |model| facts(Provider::OpenAi, model).unwrap();
    assert_eq!(fits(&needs(Some("none")), gpt("gpt-6-sol")), Ok(()));
    assert_eq!(fits(&needs(None), gpt("gpt-6-sol")), Err(Misfit::Sampling));
    assert_eq!(fits(&needs(None), gpt("gpt-5.4")), Ok(()));
    assert_eq!(fits(&needs(None), gpt("gpt-6.2-sol")), Err(Misfit::Sampling));
    assert_eq!(fits(&needs(None), gpt("gpt-4.1")), Ok(()));
}

#[test]
fn a_call_is_forced_only_where_the_model_does_not_think() {
    let forced = |model, thinking: Option<&str>| {
        let thinking = thinking.map(Into::into);
        fits(
            &Needs {
                forced_tool_choice: true,
                thinking,
                ..Needs::default()
            },
            anthropic(model),
        )
    };
    assert_eq!(forced("claude-haiku-5-5", None), Err(Misfit::ForcedToolChoice));
    assert_eq!(forced("claude-haiku-5-5", Some("disabled")), Ok(()));
    assert_eq!(forced("claude-haiku-4-5", None), Ok(()));
    assert_eq!(
        forced("claude-haiku-4-5", Some("enabled")),
        Err(Misfit::ForcedToolChoice)
    );
    let gpt = facts(Provider::OpenAi, "gpt-6-sol").unwrap();
    assert_eq!(
        fits(
            &Needs {
                forced_tool_choice: true,
                ..Needs::default()
            },
            gpt
        ),
        Ok(())
    );
}
