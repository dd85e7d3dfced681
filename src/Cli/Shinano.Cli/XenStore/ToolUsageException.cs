namespace Shinano.Cli.XenStore;

/// <summary>The arguments make no sense: the usage is printed and the exit code is 1, as with Xen's tools.</summary>
internal sealed class ToolUsageException(string? message = null) : Exception(message);
