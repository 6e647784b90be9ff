"""How users put what the demo model can do; `{}` and named marks take the values."""

from __future__ import annotations

REPEAT_ORDERS = (
    "Repeat: {}", "Repeat: {}", "repeat: {}", "Repeat after me: {}", "Repeat this: {}",
    "Please repeat: {}", "Say exactly {}", "Say exactly: {}", "Say: {}", "Say {}", 'Say "{}"',
    'Repeat "{}"', 'Say exactly "{}"', 'Repeat exactly: "{}"', "Echo: {}", "echo {}",
    "Copy this text: {}", "Write exactly: {}", "Repeat the following text exactly: {}",
    "Repeat the following text exactly:\n\n{}", "Please repeat the following:\n{}",
    "Repeat this text word for word: {}", "Answer only with: {}", "Reply with {}",
    "Reply with exactly: {}", "Say only: {}", "Print {}", "Can you repeat this? {}",
)  # fmt: skip
COUNT_ORDERS = (
    "Count from {a} to {b}.", "Count from {a} to {b}", "count from {a} to {b}",
    "Please count from {a} to {b}.", "Can you count from {a} to {b}?", "Count: {a} to {b}",
    "List the numbers from {a} to {b}.", "Write the numbers from {a} to {b}.",
    "Count up from {a} to {b}.", "Give me all numbers from {a} to {b}.",
)  # fmt: skip
ADD_ORDERS = (
    "What is {a} + {b}?", "{a} + {b}", "{a}+{b}", "{a} + {b} = ?", "{a} + {b} =",
    "What is {a}+{b}?",
    "What is {a} plus {b}?", "{a} plus {b}", "Add {a} and {b}.", "How much is {a} + {b}?",
    "how much is {a} plus {b}?", "What's {a} + {b}?", "Calculate {a} + {b}.", "Compute {a} + {b}",
    "What is the sum of {a} and {b}?", "Add {a} to {b}.", "and {a} + {b}?",
)  # fmt: skip
NAME_ORDERS = (
    "My name is {}.", "my name is {}", "I am {}.", "I'm {}.", "Call me {}.", "Hi, my name is {}.",
    "Hello, I am {}.", "Hello! My name is {}.", "Please call me {}.", "My name is {}. Remember it.",
    "Hi! I'm {}", "My name is {}, nice to meet you.",
)  # fmt: skip
NAME_QUESTIONS = (
    "What is my name?", "what is my name", "What's my name?", "Do you remember my name?",
    "Who am I?", "Tell me my name.", "Do you know my name?", "And what is my name?",
    "What did I say my name is?",
    "Can you tell me my name?", "What was my name?", "Say my name.",
)  # fmt: skip
NUMBER_ORDERS = (
    "Remember the number {}.", "Please remember {}.", "Remember {}.", "Remember this number: {}",
    "The number is {}.", "Keep the number {} in mind.", "The secret number is {}.",
    "Remember: {}", "Please remember the number {}.", "Remember that the number is {}.",
)  # fmt: skip
NUMBER_QUESTIONS = (
    "What is the number?", "Which number did I tell you?", "What was the number?",
    "What number did I ask you to remember?", "Which number should you remember?",
    "Do you remember the number?", "Tell me the number.", "What number did I give you?",
    "What is the secret number?", "What was the number I told you?",
)  # fmt: skip
FACT_KEYS = (
    "favourite colour", "favorite color", "favourite number", "lucky number", "dog", "cat",
    "dog's name", "city", "home town", "password", "code", "secret word", "brother", "sister",
    "company", "email", "pin", "street", "favourite food", "room number", "age", "phone number",
    "job", "car", "country", "street number",
)  # fmt: skip
FACT_ORDERS = (
    "My {k} is {v}.", "my {k} is {v}", "Remember that my {k} is {v}.", "Remember: my {k} is {v}.",
    "My {k} is {v}. Remember it.", "Please remember that my {k} is {v}.",
)  # fmt: skip
FACT_QUESTIONS = (
    "What is my {k}?", "what is my {k}", "What's my {k}?", "Do you remember my {k}?",
    "Tell me my {k}.", "What did I say my {k} is?", "And what is my {k}?", "What was my {k}?",
)  # fmt: skip
UPPER_SYSTEMS = (
    "Answer in upper case.", "Always answer in upper case.", "Always answer in capital letters.",
    "Answer in UPPERCASE.", "Write everything in capital letters.", "Reply only in upper case.",
    "Use only capital letters.", "You always shout: answer in capital letters.",
    "Respond in all caps.", "Answer everything in uppercase letters.",
)  # fmt: skip
END_SYSTEMS = (
    "Always end your answer with the word {}.", "End every answer with {}.",
    "End each answer with the word {}.", 'Always end with the word "{}".',
    'Finish every reply with "{}".', "Finish every answer with the word {}.",
    "Your answers must end with the word {}.", "Always finish with {}.", "End with {}.",
)  # fmt: skip
START_SYSTEMS = (
    "Always start your answer with the word {}.", "Start every answer with {}.",
    "Begin each answer with the word {}.", 'Always start with the word "{}".',
    'Begin every reply with "{}".', "Your answers must start with the word {}.", "Start with {}.",
)  # fmt: skip
OTHER_SYSTEMS = (
    "You are a {}.", "You are a {} expert. Answer briefly.", "Be brief.", "Be polite and short.",
    "You are the assistant of {}.", "You are an assistant. Think step by step.",
    "Answer the user's questions about {}.", "You are a friendly {} bot.", "Keep answers short.",
    "You help customers of {} with their orders.", "You are a helpful, honest assistant.",
)  # fmt: skip
