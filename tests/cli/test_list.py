"""`featherweight list`."""

from featherweight.networks import counts, networks, variants


def test_every_network_is_listed(featherweight) -> None:
    rows = featherweight("list", "--json").json["networks"]
    assert [row["network"] for row in rows] == [entry.name for entry in networks()]
    for row in rows:
        counted = counts(row["network"])
        assert (row["params"], row["multiply_adds"]) == (counted.params, counted.multiply_adds)


def test_the_table_shows_what_json_says(featherweight) -> None:
    out = featherweight("list").out
    for entry in networks():
        line = next(line for line in out.splitlines() if line.split()[:1] == [entry.name])
        assert entry.family in line
        assert str(entry.year) in line


def test_every_printed_choice_is_a_variant(featherweight) -> None:
    rows = featherweight("list", "--variants", "--json").json["networks"]
    assert len(rows) == len(variants())


def test_filters(featherweight) -> None:
    every = featherweight("list", "--variants", "--json").json["networks"]
    middle = sorted(row["params"] for row in every)[len(every) // 2]
    years = sorted({row["year"] for row in every})
    small = featherweight("list", "--variants", "--max-params", middle, "--json").json["networks"]
    assert small == [row for row in every if row["params"] <= middle]
    light = featherweight("list", "--variants", "--max-multiply-adds", "100M", "--json").json["networks"]
    assert light == [row for row in every if row["multiply_adds"] + row["additions"] / 2 <= 100e6]
    early = featherweight("list", "--variants", "--year", f"{years[0]}-{years[1]}", "--json").json["networks"]
    assert early == [row for row in every if row["year"] <= years[1]]
    family = every[0]["family"]
    related = featherweight("list", "--variants", "--family", family.lower(), "--json").json["networks"]
    assert related == [row for row in every if row["family"] == family]


def test_the_accuracy_of_another_network_than_ours_is_in_brackets(featherweight) -> None:
    """IGCV2's printed network is several times larger than what could be built from what was published."""
    out = featherweight("list").out
    assert "(70.7 %)" in next(line for line in out.splitlines() if line.startswith(" igcv2 "))
    assert "(top-1): of a network whose printed counts are not ours" in out
    assert "93.78 % CIFAR-10" in next(line for line in out.splitlines() if "condensenet_cifar" in line)
    assert "additions" in next(line for line in out.splitlines() if "adder_resnet18" in line)


def test_nothing_found_is_said(featherweight) -> None:
    answer = featherweight("list", "--max-params", "1")
    assert (answer.code, answer.out) == (0, "no network passes these filters\n")


def test_wrong_words(featherweight) -> None:
    name = next(networks()).name
    for words, complaint in (
        ([name + "x"], f"unknown network '{name}x'; did you mean {name}"),
        (["--family", "none"], "unknown family 'none'; known: "),
        (["--year", "soon"], "not a year: 'soon'; understood: 2018 or 2016-2018"),
        (["--max-params", "3 apples"], "not a count: '3 apples'; understood: 3M"),
    ):
        answer = featherweight("list", *words)
        assert (answer.code, answer.out) == (2, "")
        assert complaint in answer.err
        assert answer.err.count("\n") == 1
