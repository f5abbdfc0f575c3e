from igaviz.metrics.line import classic_line


def test_the_line_that_users_know_letter_for_letter():
    assert (
        classic_line(0, 100, 0.8121, -2.3412, 0.02341, 0.00891)
        == "[IGA Vis Layer 0] Step 100: γ=0.812, geo_bias=-2.341, "
        "local_attn=0.0234, global_attn=0.0089"
    )


def test_a_number_without_a_value_is_nan():
    assert classic_line(3, 0, None, None, None, None).endswith(
        "γ=nan, geo_bias=nan, local_attn=nan, global_attn=nan"
    )
