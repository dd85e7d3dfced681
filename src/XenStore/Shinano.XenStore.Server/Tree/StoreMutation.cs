namespace Shinano.XenStore.Server.Tree;

/// <summary>One step of a change; what the journal holds. A list of them is applied as a whole or not at all.</summary>
internal abstract record StoreMutation;
