"""The training step: eight stations in the order of `MultiTaskTrainer.train_step`.

1. `batch_checks`: the user's batch becomes a checked `Batch`.
2. `plan`: the `StepPlan` that `compile` made; it chooses one of three `strategies`.
3. `forward`: the model (`before_upsampling`, or in two halves: `split_model`), the `losses` of all
   tasks (`masked_loss` for losses of Keras and of users) and the `metrics`.
4. `task_gradients`: one backward pass per task, over `replicas` and micro-batches.
5. `balance_gradients`: the balancing method turns task gradients into directions with the native
   ops of `mtl_tf.ops`.
6. `update`: gradients of all variables, and what the logs need.
7. `mtl_tf.training.optimizer`: L2, learning-rate multipliers, asynchronous updates; then Keras.
8. `after_update`: the losses after the update, for methods that ask; then the logs.
"""
