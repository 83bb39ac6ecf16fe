"""What operators see and do, as plain functions of an `App`: the commands print it, the web serves it.

Each module has one subject. Functions return frozen values, say what they raise, and print nothing. A store that is
away raises BrokerUnavailable (P16).

    queues    how full they are; pause and resume everywhere
    tasks     cancel, archive, retry one, many, all; enqueue a registered one by its name
    sheet     all about one task; `facts` are its values as JSON has them
    why       why it stands where it stands, in sentences
    stuck     what nobody works on, and how it comes back
    workers   who is registered and alive
    hosts     what each host's supervisor says; orders to it
    doctor    what is wrong, and what to do
"""
