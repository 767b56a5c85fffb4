"""Reads the page on speed, and puts benchmarks where it finds them."""

import json


def put(folder, content, name='data_pspnet.json'):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    return folder


def cells(text, section='Training samples'):
    lines = text.partition(f'## {section}\n')[2].partition('\n## ')[0].splitlines()
    return [line.strip('| ').split(' | ') for line in lines if line.startswith('| ')][2:]
