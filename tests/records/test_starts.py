import pytest

from octfluid.records.starts import PENDING_START, SCRATCH, Start, file_label, in_order, source_iterations, thousands

FULL_OWN, SHORT_OWN, ZOO = Start('hrf-own', 40000), Start('hrf-own', 1000), Start('hrf-zoo', 40000)


@pytest.mark.parametrize(('source', 'name', 'iterations'), [
    ('hrf-own', 'pspnet_unet_s5-d16_hrf_1000i_1a2b3c4d.safetensors', 1000),
    ('hrf-own', 'fcn_unet_s5-d16_256x256_8k_hrf-12345678.pth', 8000),
    ('hrf-own', 'fcn_unet_s5-d16_256x256_900i_hrf-12345678.pth', 900),
    ('hrf-zoo', 'pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-fdb7e29b.pth', 40000),
    ('hrf-zoo', 'https://example.org/a/fcn_unet_s5-d16_256x256_40k_hrf_20201223_173724-d89cf1ed.pth', 40000),
    ('hrf-zoo', 'pspnet_unet_s5-d16_zoo_40000i_12345678.safetensors', 40000),
    ('hrf-own', 'pspnet_unet_s5-d16_hrf_mine.safetensors', None),
    ('other', 'somewhere_40k_hrf_else.pth', None),
])  # fmt: skip
def test_the_name_of_the_weights_tells_their_length(source, name, iterations):
    assert source_iterations({'source': source, 'name': name}) == iterations


def test_scratch_has_no_source_training():
    assert source_iterations(None) == 0


def test_only_own_weights_of_another_length_are_told_apart_in_file_names():
    labels = [file_label(*pair) for pair in
              (('hrf-own', 1000), ('hrf-own', 40000), ('hrf-own', None), ('hrf-zoo', 40000), ('scratch', 0))]  # fmt: skip
    assert labels == ['hrf-own-1000i', 'hrf-own', 'hrf-own', 'hrf-zoo', 'scratch']


def test_a_key_gives_its_start_back_and_nothing_else_does():
    for start in (FULL_OWN, SHORT_OWN, ZOO, SCRATCH, PENDING_START, Start('hrf-own', None)):
        assert Start.of(start.key) == start
    with pytest.raises(ValueError, match='names no initial weights'):
        Start.of('hrf-own')


def test_the_full_length_comes_first_and_scratch_last():
    assert in_order([SCRATCH, SHORT_OWN, ZOO, Start('hrf-own', 4000), FULL_OWN, SHORT_OWN]) == [
        FULL_OWN, ZOO, Start('hrf-own', 4000), SHORT_OWN, SCRATCH]  # fmt: skip


def test_the_place_of_the_full_length_is_kept():
    assert in_order([SCRATCH, SHORT_OWN]) == [PENDING_START, SHORT_OWN, SCRATCH]
    assert in_order([]) == [PENDING_START]


def test_thousands_are_parted_by_spaces():
    assert [thousands(number) for number in (0, 400, 4000, 40000, 1234567)] == ['0', '400', '4 000', '40 000', '1 234 567']


def test_lengths_beside_the_full_one():
    lengths = [Start('hrf-own', length).beside_full for length in (1000, 40000, 80000, None)]
    assert lengths == ['shorter', 'full', 'longer', 'unknown']
