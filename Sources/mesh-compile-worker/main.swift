import CoVM

// Compiles one module under limits of its own; see `CompileWorker`.
CompileWorker.main()
