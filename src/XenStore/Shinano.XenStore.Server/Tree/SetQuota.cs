namespace Shinano.XenStore.Server.Tree;

/// <summary>A quota got another value.</summary>
internal sealed record SetQuota(string Name, uint Value) : StoreMutation;
