namespace Shinano.Cli.XenStore;

/// <summary>One of the tools.</summary>
/// <param name="Name">As it is called.</param>
/// <param name="Usage">After the name, in the usage line.</param>
/// <param name="Options">Letters of the options it knows.</param>
/// <param name="RunAsync">Runs it and returns the exit code.</param>
internal sealed record XenStoreTool(
    string Name, string Usage, string Options, Func<ToolArguments, Stream, Task<int>> RunAsync);
