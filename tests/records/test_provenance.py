import pytest

from octfluid.records.provenance import SCRATCH, Start, source_iterations

FULL_OWN, SHORT_OWN, ZOO = Start('hrf-own', 40000), Start('hrf-own', 1000), Start('hrf-zoo', 40000)


@pytest.mark.parametrize(('source', 'name', 'iterations'), [
    ('hrf-own', 'pspnet_unet_s5-d16_hrf_1000i_1a2b3c4d.safetensors', 1000),
    ('hrf-own', 'fcn_unet_s5-d16_hrf_40000i_12345678.safetensors', 40000),
    ('hrf-zoo', 'https://example.org/a/fcn_unet_s5-d16_256x256_40k_hrf_20201223_173724-d89cf1ed.pth', 40000),
    ('hrf-zoo', 'pspnet_unet_s5-d16_zoo_40000i_12345678.safetensors', 40000),
    ('hrf-own', 'pspnet_unet_s5-d16_hrf_mine.safetensors', None),
    ('other', 'somewhere_40k_hrf_else.pth', None),
])  # fmt: skip
def test_length_of_the_source_training_from_the_name_of_the_weights(source, name, iterations):
    assert source_iterations({'source': source, 'name': name}) == iterations
    assert source_iterations(None) == 0


def test_a_key_gives_its_start_back():
    for start in (FULL_OWN, SHORT_OWN, ZOO, SCRATCH, Start('hrf-own', None)):
        assert Start.of(start.key) == start
    with pytest.raises(ValueError, match='hrf-own'):
        Start.of('hrf-own')


def test_the_full_length_comes_first_and_scratch_last():
    starts = [SCRATCH, SHORT_OWN, ZOO, Start('hrf-own', 4000), FULL_OWN]
    assert sorted(starts) == [FULL_OWN, ZOO, Start('hrf-own', 4000), SHORT_OWN, SCRATCH]
