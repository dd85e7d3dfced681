namespace Shinano.XenStore.Server.Tree;

/// <summary>Removes a node and all below it.</summary>
internal sealed record RemoveNode(string Path, ulong Generation) : StoreMutation;
