namespace Shinano.Cli.XenStore;

/// <summary>The tool cannot go on: the message is printed and the exit code is 1.</summary>
internal sealed class ToolFailureException(string message) : Exception(message);
