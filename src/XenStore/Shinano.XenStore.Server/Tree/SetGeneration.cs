namespace Shinano.XenStore.Server.Tree;

/// <summary>Where the generation count goes on; stands at the start of a checkpoint.</summary>
internal sealed record SetGeneration(ulong Generation) : StoreMutation;
