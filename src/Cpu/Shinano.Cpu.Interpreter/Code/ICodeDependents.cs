namespace Shinano.Cpu.Interpreter;

/// <summary>Something made from a domain's code besides decoded ops, which must go when the code changes. Called under the code cache's gate.</summary>
internal unsafe interface ICodeDependents
{
    /// <summary>Drops what was made from chunks of a page.</summary>
    /// <param name="chunks">A bit per <see cref="CodePage.ChunkSize"/> bytes.</param>
    /// <returns>The chunks that something still depends on.</returns>
    ulong Drop(CodePage* page, ulong chunks);
}
