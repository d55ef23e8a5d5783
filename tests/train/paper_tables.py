"""What eight tables of two papers say, read from the pages by eye (text of `pdftotext -layout`), for comparison.

A table is its column names, then one line per row: `label | figures`. Where rows stand in groups, a line in
brackets names the group of the rows below it.
"""

TABLES = {
    ("deepseek-r1", "Table 2"): (
        (
            "Model",
            "AIME 2024 pass@1",
            "AIME 2024 cons@64",
            "MATH-500 pass@1",
            "GPQA Diamond pass@1",
            "LiveCode Bench pass@1",
            "CodeForces rating",
        ),
        """\
OpenAI-o1-mini | 63.6 80.0 90.0 60.0 53.8 1820
OpenAI-o1-0912 | 74.4 83.3 94.8 77.3 63.4 1843
DeepSeek-R1-Zero | 71.0 86.7 95.9 73.3 50.0 1444
""",
    ),
    ("deepseek-r1", "Table 4"): (
        (
            "",
            "Benchmark (Metric)",
            "Claude-3.5-Sonnet-1022",
            "GPT-4o 0513",
            "DeepSeek V3",
            "OpenAI o1-mini",
            "OpenAI o1-1217",
            "DeepSeek R1",
        ),
        """\
[]
Architecture | - - MoE - - MoE
# Activated Params | - - 37B - - 37B
# Total Params | - - 671B - - 671B
[English]
MMLU (Pass@1) | 88.3 87.2 88.5 85.2 91.8 90.8
MMLU-Redux (EM) | 88.9 88.0 89.1 86.7 - 92.9
MMLU-Pro (EM) | 78.0 72.6 75.9 80.3 - 84.0
DROP (3-shot F1) | 88.3 83.7 91.6 83.9 90.2 92.2
IF-Eval (Prompt Strict) | 86.5 84.3 86.1 84.8 - 83.3
GPQA Diamond (Pass@1) | 65.0 49.9 59.1 60.0 75.7 71.5
SimpleQA (Correct) | 28.4 38.2 24.9 7.0 47.0 30.1
FRAMES (Acc.) | 72.5 80.5 73.3 76.9 - 82.5
AlpacaEval2.0 (LC-winrate) | 52.0 51.1 70.0 57.8 - 87.6
ArenaHard (GPT-4-1106) | 85.2 80.4 85.5 92.0 - 92.3
[Code]
LiveCodeBench (Pass@1-COT) | 38.9 32.9 36.2 53.8 63.4 65.9
Codeforces (Percentile) | 20.3 23.6 58.7 93.4 96.6 96.3
Codeforces (Rating) | 717 759 1134 1820 2061 2029
SWE Verified (Resolved) | 50.8 38.8 42.0 41.6 48.9 49.2
Aider-Polyglot (Acc.) | 45.3 16.0 49.6 32.9 61.7 53.3
[Math]
AIME 2024 (Pass@1) | 16.0 9.3 39.2 63.6 79.2 79.8
MATH-500 (Pass@1) | 78.3 74.6 90.2 90.0 96.4 97.3
CNMO 2024 (Pass@1) | 13.1 10.8 43.2 67.6 - 78.8
[Chinese]
CLUEWSC (EM) | 85.4 87.9 90.9 89.9 - 92.8
C-Eval (EM) | 76.7 76.0 86.5 68.9 - 91.8
C-SimpleQA (Correct) | 55.4 58.7 68.0 40.3 - 63.7
""",
    ),
    ("deepseek-r1", "Table 5"): (
        (
            "Model",
            "AIME 2024 pass@1",
            "AIME 2024 cons@64",
            "MATH-500 pass@1",
            "GPQA Diamond pass@1",
            "LiveCode Bench pass@1",
            "CodeForces rating",
        ),
        """\
GPT-4o-0513 | 9.3 13.4 74.6 49.9 32.9 759
Claude-3.5-Sonnet-1022 | 16.0 26.7 78.3 65.0 38.9 717
OpenAI-o1-mini | 63.6 80.0 90.0 60.0 53.8 1820
QwQ-32B-Preview | 50.0 60.0 90.6 54.5 41.9 1316
DeepSeek-R1-Distill-Qwen-1.5B | 28.9 52.7 83.9 33.8 16.9 954
DeepSeek-R1-Distill-Qwen-7B | 55.5 83.3 92.8 49.1 37.6 1189
DeepSeek-R1-Distill-Qwen-14B | 69.7 80.0 93.9 59.1 53.1 1481
DeepSeek-R1-Distill-Qwen-32B | 72.6 83.3 94.3 62.1 57.2 1691
DeepSeek-R1-Distill-Llama-8B | 50.4 80.0 89.1 49.0 39.6 1205
DeepSeek-R1-Distill-Llama-70B | 70.0 86.7 94.5 65.2 57.5 1633
""",
    ),
    ("deepseek-r1", "Table 6"): (
        (
            "Model",
            "AIME 2024 pass@1",
            "AIME 2024 cons@64",
            "MATH-500 pass@1",
            "GPQA Diamond pass@1",
            "LiveCodeBench pass@1",
        ),
        """\
QwQ-32B-Preview | 50.0 60.0 90.6 54.5 41.9
DeepSeek-R1-Zero-Qwen-32B | 47.0 60.0 91.6 55.0 40.2
DeepSeek-R1-Distill-Qwen-32B | 72.6 83.3 94.3 62.1 57.2
""",
    ),
    ("deepseek-v3", "Table 1"): (
        (
            "Training Costs",
            "Pre-Training",
            "Context Extension",
            "Post-Training",
            "Total",
        ),
        """\
in H800 GPU Hours | 2664K 119K 5K 2788K
in USD | $5.328M $0.238M $0.01M $5.576M
""",
    ),
    ("deepseek-v3", "Table 3"): (
        (
            "",
            "Benchmark (Metric)",
            "# Shots",
            "DeepSeek-V2 Base",
            "Qwen2.5 72B Base",
            "LLaMA-3.1 405B Base",
            "DeepSeek-V3 Base",
        ),
        """\
[]
Architecture | - MoE Dense Dense MoE
# Activated Params | - 21B 72B 405B 37B
# Total Params | - 236B 72B 405B 671B
[English]
Pile-test (BPB) | - 0.606 0.638 0.542 0.548
BBH (EM) | 3-shot 78.8 79.8 82.9 87.5
MMLU (EM) | 5-shot 78.4 85.0 84.4 87.1
MMLU-Redux (EM) | 5-shot 75.6 83.2 81.3 86.2
MMLU-Pro (EM) | 5-shot 51.4 58.3 52.8 64.4
DROP (F1) | 3-shot 80.4 80.6 86.0 89.0
ARC-Easy (EM) | 25-shot 97.6 98.4 98.4 98.9
ARC-Challenge (EM) | 25-shot 92.2 94.5 95.3 95.3
HellaSwag (EM) | 10-shot 87.1 84.8 89.2 88.9
PIQA (EM) | 0-shot 83.9 82.6 85.9 84.7
WinoGrande (EM) | 5-shot 86.3 82.3 85.2 84.9
RACE-Middle (EM) | 5-shot 73.1 68.1 74.2 67.1
RACE-High (EM) | 5-shot 52.6 50.3 56.8 51.3
TriviaQA (EM) | 5-shot 80.0 71.9 82.7 82.9
NaturalQuestions (EM) | 5-shot 38.6 33.2 41.5 40.0
AGIEval (EM) | 0-shot 57.5 75.8 60.6 79.6
[Code]
HumanEval (Pass@1) | 0-shot 43.3 53.0 54.9 65.2
MBPP (Pass@1) | 3-shot 65.0 72.6 68.4 75.4
LiveCodeBench-Base (Pass@1) | 3-shot 11.6 12.9 15.5 19.4
CRUXEval-I (EM) | 2-shot 52.5 59.1 58.5 67.3
CRUXEval-O (EM) | 2-shot 49.8 59.9 59.9 69.8
[Math]
GSM8K (EM) | 8-shot 81.6 88.3 83.5 89.3
MATH (EM) | 4-shot 43.4 54.4 49.0 61.6
MGSM (EM) | 8-shot 63.6 76.2 69.9 79.8
CMath (EM) | 3-shot 78.7 84.5 77.3 90.7
[Chinese]
CLUEWSC (EM) | 5-shot 82.0 82.5 83.0 82.7
C-Eval (EM) | 5-shot 81.4 89.2 72.5 90.1
CMMLU (EM) | 5-shot 84.0 89.5 73.7 88.8
CMRC (EM) | 1-shot 77.4 75.8 76.0 76.3
C3 (EM) | 0-shot 77.4 76.7 79.7 78.6
CCPM (EM) | 0-shot 93.0 88.5 78.6 92.0
[Multilingual]
MMMLU-non-English (EM) | 5-shot 64.0 74.8 73.8 79.4
""",
    ),
    ("deepseek-v3", "Table 4"): (
        (
            "Benchmark (Metric)",
            "# Shots",
            "Small MoE Baseline",
            "Small MoE w/ MTP",
            "Large MoE Baseline",
            "Large MoE w/ MTP",
        ),
        """\
# Activated Params (Inference) | - 2.4B 2.4B 20.9B 20.9B
# Total Params (Inference) | - 15.7B 15.7B 228.7B 228.7B
# Training Tokens | - 1.33T 1.33T 540B 540B
Pile-test (BPB) | - 0.729 0.729 0.658 0.657
BBH (EM) | 3-shot 39.0 41.4 70.0 70.7
MMLU (EM) | 5-shot 50.0 53.3 67.5 66.6
DROP (F1) | 1-shot 39.2 41.3 68.5 70.6
TriviaQA (EM) | 5-shot 56.9 57.7 67.0 67.3
NaturalQuestions (EM) | 5-shot 22.7 22.3 27.2 28.5
HumanEval (Pass@1) | 0-shot 20.7 26.8 44.5 53.7
MBPP (Pass@1) | 3-shot 35.8 36.8 61.6 62.2
GSM8K (EM) | 8-shot 25.4 31.4 72.3 74.0
MATH (EM) | 4-shot 10.7 12.6 38.6 39.8
""",
    ),
    ("deepseek-v3", "Table 6"): (
        (
            "",
            "Benchmark (Metric)",
            "DeepSeek V2-0506",
            "DeepSeek V2.5-0905",
            "Qwen2.5 72B-Inst.",
            "LLaMA-3.1 405B-Inst.",
            "Claude-3.5-Sonnet-1022",
            "GPT-4o 0513",
            "DeepSeek V3",
        ),
        """\
[]
Architecture | MoE MoE Dense Dense - - MoE
# Activated Params | 21B 21B 72B 405B - - 37B
# Total Params | 236B 236B 72B 405B - - 671B
[English]
MMLU (EM) | 78.2 80.6 85.3 88.6 88.3 87.2 88.5
MMLU-Redux (EM) | 77.9 80.3 85.6 86.2 88.9 88.0 89.1
MMLU-Pro (EM) | 58.5 66.2 71.6 73.3 78.0 72.6 75.9
DROP (3-shot F1) | 83.0 87.8 76.7 88.7 88.3 83.7 91.6
IF-Eval (Prompt Strict) | 57.7 80.6 84.1 86.0 86.5 84.3 86.1
GPQA-Diamond (Pass@1) | 35.3 41.3 49.0 51.1 65.0 49.9 59.1
SimpleQA (Correct) | 9.0 10.2 9.1 17.1 28.4 38.2 24.9
FRAMES (Acc.) | 66.9 65.4 69.8 70.0 72.5 80.5 73.3
LongBench v2 (Acc.) | 31.6 35.4 39.4 36.1 41.0 48.1 48.7
[Code]
HumanEval-Mul (Pass@1) | 69.3 77.4 77.3 77.2 81.7 80.5 82.6
LiveCodeBench (Pass@1-COT) | 18.8 29.2 31.1 28.4 36.3 33.4 40.5
LiveCodeBench (Pass@1) | 20.3 28.4 28.7 30.1 32.8 34.2 37.6
Codeforces (Percentile) | 17.5 35.6 24.8 25.3 20.3 23.6 51.6
SWE Verified (Resolved) | - 22.6 23.8 24.5 50.8 38.8 42.0
Aider-Edit (Acc.) | 60.3 71.6 65.4 63.9 84.2 72.9 79.7
Aider-Polyglot (Acc.) | - 18.2 7.6 5.8 45.3 16.0 49.6
[Math]
AIME 2024 (Pass@1) | 4.6 16.7 23.3 23.3 16.0 9.3 39.2
MATH-500 (EM) | 56.3 74.7 80.0 73.8 78.3 74.6 90.2
CNMO 2024 (Pass@1) | 2.8 10.8 15.9 6.8 13.1 10.8 43.2
[Chinese]
CLUEWSC (EM) | 89.9 90.4 91.4 84.7 85.4 87.9 90.9
C-Eval (EM) | 78.6 79.5 86.1 61.5 76.7 76.0 86.5
C-SimpleQA (Correct) | 48.5 54.1 48.4 50.4 51.3 59.3 64.8
""",
    ),
}
