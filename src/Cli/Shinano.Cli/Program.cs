using Shinano.Cli;

// The first argument is the tool's name: the launchers in bin/ pass the name they were called by.
if (args.Length == 0 || !ToolTable.Tools.TryGetValue(args[0], out Func<string[], Task<int>>? tool))
{
    string asked = args.Length == 0 ? "No tool was named." : $"There is no tool called '{args[0]}'.";
    await Console.Error.WriteLineAsync($"{asked} Known tools: {string.Join(", ", ToolTable.Tools.Keys)}.");
    return 2;
}

return await tool(args[1..]);
